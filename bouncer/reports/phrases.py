"""What people and servers write in bounces, warnings and auto-replies, in the languages they use.

Data for prose.py, freetext.py and autoreply.py: lower case, matched without regard to case by RE2,
so any number of phrases costs the same. `.` may stand for any character, as in every pattern.
"""

import re
from enum import IntEnum

import re2

_CONTINUED = re.compile(r"\\\n\s*")


def alternatives(lines: str) -> str:
    """One pattern for a phrase a line; a line that ends with a backslash goes on in the next."""
    joined = _CONTINUED.sub("", lines)
    return "(?:" + "|".join(filter(None, map(str.strip, joined.splitlines()))) + ")"


def matcher(lines: str) -> re2._Regexp:
    """Matches where any of the phrases stands."""
    return re2.compile("(?i)" + alternatives(lines))


# Where the report ends and the mail it is about begins.
RETURNED = re2.compile(
    alternatives(r"""
    below (?:this|the next) line is a copy
    (?:this|here|below|following|included|enclosed|attached|attachment\
        |text)(?:[a-z ]*)? is (?:a|the) copy of
    (?:included|enclosed|attachment|attached) is (?:a|the)(?: original)? (?:copy|message|mail)
    here is (?:a|the) (?:copy|original|first)
    original (?:message|mail|email) (?:follows|as follows|as received|headers?\b|details\
        |info|text|-|:)
    original (?:message|mail|email) ?(?:-{2,}|={2,})
    (?:header|headers|text|body|copy|first part|beginning) of (?:the|your) (?:original \
        |returned )?(?:message|mail|email)(?: is)?\b[^.]*(?:follow|:|\n|-)
    unsent message
    (?:message|mail) (?:headers?|text|body) follow
    start of returned
    (?:returned|undelivered|rejected|bounced) (?:message|mail|email)(?: follows| -|-| \(|:|\n|\r)
    forwarded message ?-
    (?:top|first) [0-9]+ lines of
    old message:
    summary of the (?:undelivered|original) message
    the (?:original|rejected|returned) message (?:follows|was:|is below|is attached)
    -----? ?(?:original|returned|unsent) (?:message|mail)
    mensaje original
    message d'origine
    message original
    messaggio originale
    urspr.{1,2}ngliche nachricht
    mensagem original
    исходно[ег]о? (?:сообщени|письм)
    ниже этой линии
    копия сообщения
    oryginaln[aey].{0,3} wiadomo
    kopia (?:twojej )?wiadomo
    附件中的内容是原信
    附件是您所发送
    原始邮件
    原邮件
    원본 ?메시지
    원본 ?메일
""")
)

RETURNED_HEADER = re2.compile(
    r"(?mi)^[ \t>]{0,8}(?:received|return-path|x-received|dkim-signature|x-originating-ip"
    r"|domainkey-signature|arc-seal|message-id|mime-version|delivered-to|x-google-[a-z-]+) ?:"
)

# That a mail did not arrive.
_FAILURE = alternatives(r"""
    (?:could|can|was|were|is|are|has|have|had|did|will|do|does)(?: ?not|n't|n’t) \
        (?:yet )?(?:be |been |able to )*(?:successfully )?(?:deliver|reach|relay)
    (?:not|never) (?:yet )?(?:be |been )*(?:able to )?(?:be )?deliver
    (?:unable|failed|failure|trouble|problems?|error|errors|impossible|attempting|sorry\
        |not possible|tried|attempted) [^.]*(?:to )?(?:deliver|delivering|delivery|deliver)
    deliver[a-z]* [^.]*(?:fail|error|problem|unsuccess|aborted|suspend|delayed|postponed\
        |rejected|refused|impossible|incomplete)
    (?:un|non-?)deliver(?:able|ed|y)
    not (?:be |been )?(?:delivered|deliverable|reach|received|accepted|sent)
    (?:has|have|had) (?:not )?(?:been )?(?:permanent|fatal|delivery) \
        (?:fatal )?(?:delivery )?errors
    (?:permanent|fatal|delivery|transient|had) [^.]*(?:errors|error|failure)
    did not receive
    (?:was|were|been|is) (?:rejected|refused|returned|blocked|bounced|undeliverable)\b
    returned (?:mail|message|to sender|because|to you)
    (?:mail|message|e-?mail) [^.]*returned
    (?:your|the) (?:mail|message|e-?mail) [^.]*(?:reject|refus|block|bounced|fail)
    (?:account|mailbox|user|inbox|folder|recipient|quota|box)(?:'s)? [^.]*(?:full|exceed\
        |over ?quota|disabled|unknown|suspended|inactive|not exist|not found|invalid)
    (?:unknown|invalid|no such|nonexistent|bad|illegal) (?:user|recipient|mailbox|address\
        |account|local|domain|host)
    no (?:mailbox|account) [^.]*(?:here )?by that name
    (?:does|do|did)(?: not|n't) (?:exist|like recipient|have an?)
    smtp error
    transcript of session
    remote (?:host|server|smtp)(?: said)
    failed (?:recipient|address)
    following (?:recipient|address)
    error message below
    too many hops
    mail loop
    loop alert
    duplicated message-id
    not listed in
    over ?quota
    bounce
    is a permanent error
    can't create output
    message status - undeliverable
    no se (?:ha podido|pudo|puede|pudieron) (?:entregar|enviar)
    no pudo (?:ser entregado|entregarse)
    no (?:se )?ha (?:sido|podido)
    quiz.{1,2}s no exista
    n'a pas pu .{0,6}(?:remis|livr|distribu|délivr)
    n'ont pas pu
    n'(?:a|est) pas [^.]*(?:distribu|remis|délivr|valide)
    échec de (?:la )?(?:remise|livraison|distribution|transmission)
    n'existe pas
    impossible de (?:remettre|livrer|distribuer)
    (?:konnte|konnten|kann) [^.]*(?:nicht|leider) [^.]*(?:zugestellt|ausgeliefert|gesendet\
        |übermittelt|erreicht)
    unzustellbar
    nicht zustellbar
    zustellung [^.]*(?:fehl|nicht)
    existiert nicht
    non (?:è|e'|e) (?:stato|possibile|stata) [^.]*(?:consegn|recapit|inviar|invia)
    impossibile (?:consegn|recapit)
    mancata consegna
    n[ãa]o (?:foi|p[ôo]de|pode) [^.]*(?:entreg|enviad)
    kan niet worden (?:afgeleverd|bezorgd)
    niet (?:worden )?(?:afgeleverd|bezorgd)
    kunde inte levereras
    ikke leveres
    nie (?:można|mogła|udało|został|zosta)[^.]*(?:dostarcz|doręcz|wysł)
    niedostarcz
    nie istnieje
    nedoru[čc]
    nebylo mo[žz]n[^.]*doru
    pravd.podobn. neexistuje
    neexistuje
    (?:не может|не могло|не удалось|невозможно|не была?|не было|не доставлен\
        |нельзя)[^.]*(?:доставить|доставлен|достав)
    не доставлено
    недоставлен
    не существует
    δεν [^.]*(?:παραδ|υπάρχει)
    ενδέχεται να μην υπάρχει
    ممکن است موجود نباشد
    وجود نباشد
    نہیں
    मौजूद न हो
    teslim edilemedi
    无法[^.]*(?:发送|投递|送达|投遞|送達|达)
    无法正常接受
    (?:投递|投遞|发送|传输|傳送|寄送|退信)[^.]*(?:失败|失敗|通知)
    退信
    退回
    不存在
    邮箱.{0,6}(?:已满|不存在)
    送信(?:できません|出来ません|に失敗)
    (?:配信|配送|送信|お届け)(?:できません|に失敗|不能|が?でき|出来)
    配信不能
    届け(?:できません|られません)
    送信できませんで
    見つかりません
    存在しません
    ディレクトリのリストにありません
    メールエラー
    エラーのため
    (?:발송|전송|전달|배달|수신)[^.]*(?:실패|못|없|되지|거부)
    반송
    존재하지 않
""")

# That it has not arrived yet, and somebody still tries.
_STILL_TRYING = alternatives(r"""
    (?:this is|just) (?:just |only )?a (?:warning|temporary)
    warning message only
    warning: (?:message|could|mail)
    (?:delivery|mail|message)[^.]*\bdelay
    delayed (?:mail|[0-9]+ hours?|for more)
    (?:has|have) been delayed
    \(delay\)
    (?:has|have|was|could) not (?:yet )?been? (?:yet )?delivered (?:yet|after\
        |because the recipient server did not)
    not yet (?:been )?delivered
    will be retried
    (?:delivery|we|i|attempts?|server|and) [^.]*(?:will|to) (?:be made|continue|keep|retry\
        |try again|be retried)
    will (?:continue|keep) (?:to )?(?:attempt|try|be)
    continue trying
    still being (?:tried|retried)
    still in (?:the )?queue
    kept in the queue
    postponed
    advisory-only
    do(?:es)? not need to (?:re-?send|resend)
    temporary failure report
    delay reason
    отложен
    wird (?:weiter|erneut) versucht
    verzögert
    retardé
    retrasad
    opóźni
    再送.{0,6}(?:試み|続け)
    延迟
""")

_GIVEN_UP = alternatives(r"""
    permanent
    given up
    giving up
    gave up
    not going to try again
    was aborted
    (?:delivery|dsn|status|notification)[^.]*failure
    failed
    returned mail
    returning message
    \(failure\)
    次のあて先
""")

_FAILED_SUBJECT = alternatives(r"""
    undeliver
    non-?deliver
    not delivered
    (?:delivery|delivering|deliver)[^.]*(?:fail|error|problem|status|report|warning|delay\
        |unsuccess|incomplete|impossible|aborted|notif|system)
    (?:fail|error|problem|warning|unable|could not|couldn't|cannot|unsuccess\
        |trouble)[^.]*(?:deliver|send|mail)
    (?:returned|rejected|bounced|blocked) (?:mail|message|e-?mail)
    (?:mail|message|e-?mail|recipient|address)[^.]*(?:returned|rejected|refused|bounced\
        |fail|not found|unknown)
    failure notice
    failed (?:mail|delivery)
    mail (?:delivery|system|failure|error|could)
    returned to sender
    returning message to sender
    message status
    status notification
    there was an error sending
    processing error
    loop alert
    user unknown
    unknown user
    unzustellbar
    nicht zustellbar
    zustellung
    fehler
    mailbox full
    over ?quota
    non remis
    non distribu
    échec
    non recens
    no entregad
    no se [^.]*entreg
    sin entregar
    devuelto
    devolvid
    não entreg
    non recapit
    mancata consegna
    consegna
    niet (?:worden )?(?:bezorgd|afgeleverd)
    onbestelbaar
    niedostarcz
    nie dostarcz
    nie można
    zwrot
    nedoru
    kézbesít
    не достав
    недостав
    невозможно
    возврат
    投递失败
    传输失败
    傳輸失敗
    退信
    失败
    失敗
    未达
    配信不能
    配信に失敗
    配信でき
    配送不能
    メールエラー
    エラー通知
    送信できません
    送信エラー
    반송
    전송 ?실패
    발송 ?실패
    배달 ?실패
""")

_AWAY_SUBJECT = alternatives(r"""
    ^(?:re: ?)?auto(?:matic|mated|matisch|matische|mat|m.tica|mática|matico\
        |matique)?[ -]?(?:re(?:ply|sponse|sponder)|antwort|svar|odpov|respuesta|résponse)
    ^(?:re: ?)?(?:automatic|automated|automatische|automatisch|auto) [^.]*(?:reply|response\
        |antwort|svar|beantwoord|responder)
    \b(?:auto(?:matic|mated)?[ -]?)(?:reply|respon|responder)
    out[ -]of[ -](?:the[ -])?office
    \bo(?:oo|of)\b ?:
    ^(?:i am |i'm )?away (?:from|until|on|for)
    on (?:vacation|holiday|leave)
    \bvacation\b
    away from (?:my|the) (?:office|desk|mail|e-?mail)
    (?:currently|temporarily) (?:away|unavailable|out)
    abwesend
    abwesenheit
    nicht im (?:büro|haus)
    \bim urlaub
    urlaubs
    réponse automatique
    absen(?:t|ce) (?:du|de|au|temporaire)
    message d'absence
    en vacances
    \bcongés\b
    respuesta autom
    fuera de (?:la )?oficina
    ausente
    de vacaciones
    resposta autom
    fora d[oe] escrit
    ausência
    risposta automatica
    fuori (?:sede|ufficio)
    assenza
    automatisch antwoord
    afwezig
    niet aanwezig
    autosvar
    automatiskt svar
    automatisk svar
    frånvar
    ikke på kontoret
    poissa
    automaattinen vastaus
    poza biurem
    autoodpowied
    automatyczna odpowied
    nieobecno
    automatická odpov
    mimo kancel
    automatikus válasz
    házon kívül
    răspuns automat
    автоответ
    автоматическ.{1,3} ответ
    отсутств
    в отпуске
    αυτόματη απάντηση
    εκτός γραφείου
    otomatik yan
    ofis dışında
    自动(?:回复|答复|回覆)
    自動(?:回覆|回復|応答|返信|答覆)
    不在(?:通知|の|連絡)?
    休暇
    假期
    외출
    부재중
    자동 ?(?:회신|응답|답장)
    رد تلقائي
    تلقائي
    מענה אוטומטי
    phản hồi tự động
    balasan otomatis
    ตอบกลับอัตโนมัติ
""")

CHALLENGE = re2.compile(
    alternatives(r"""
    (?:please |to |must |need to |click [^.]*to )(?:confirm|verify|authenticate|authorize\
        |approve) [^.]*(?:message|e-?mail|mail|yourself|identity|address|you are|that you\
        |delivery|sender|human)
    (?:confirm|verify|authenticate) [^.]*(?:your (?:e-?mail|message|identity)|you are \
        (?:a )?(?:human|real|person))
    (?:message|e-?mail|mail) [^.]*(?:awaiting|waiting|await|pending|held|quarantine\
        |on hold)[^.]*(?:verif|confirm|approv|authent|your (?:response|reply)|guest list|you)
    guest ?list
    (?:challenge|confirmation) (?:response|required|request)
    (?:added|add yourself|join) to (?:my|the|their|his|her) (?:list of )?(?:allowed\
        |approved|trusted|white|safe|permitted|guest)
    whitelist
    request to be (?:added|placed|allowed)
    spam ?(?:arrest|blocker|fighter|interceptor)
    one[ -]time (?:verification|confirmation)
    sender (?:verification|confirmation|authentication)
""")
)


class Sign(IntEnum):
    """What a text says, by the position of its phrases in `_SIGNS`."""

    FAILED = 0
    AWAY = 1
    STILL_TRYING = 2
    GIVEN_UP = 3


def _signs(*patterns: str) -> re2.Set:
    signs = re2.Set.SearchSet()
    for pattern in patterns:
        signs.Add("(?i)" + pattern)
    signs.Compile()
    return signs


_OF_SUBJECT = _signs(_FAILED_SUBJECT, _AWAY_SUBJECT, _STILL_TRYING, _GIVEN_UP)
_OF_WORDS = _signs(_FAILURE, "x^", _STILL_TRYING, _GIVEN_UP)


def signs_of_subject(subject: str) -> frozenset[Sign]:
    """What a subject says."""
    return frozenset(map(Sign, _OF_SUBJECT.Match(subject[:998]) or ()))


def signs_of_words(text: str) -> frozenset[Sign]:
    """What the head of a text says, however its lines are broken."""
    return frozenset(map(Sign, _OF_WORDS.Match(" ".join(text.split())) or ()))


# In front of an address: the one that failed, or somebody else's.
_FAILED_ONE = alternatives(r"""
    recipients?
    address(?:es|ed)?(?: to)?
    rcpt(?: to)?
    deliver[a-z]* (?:(?:your|the|this|a) )?(?:mail |message |e-?mail )?(?:to|for)
    undeliverable +to
    (?:delivered|message|mail|e-?mail|sent) to(?: the following [a-z]+)?
    gateway for
    attempts
    size
    full
    users?
    account
    mailbox
    inbox
    (?:failed|rejected|invalid|unknown|bad|intended)(?: [a-z]+)?
    destination
    forward-?path
    envelope-?to
    to
    destinataires?
    destinatari[oa]s?
    empfänger
    adressat
    adres(?:at)?
    получател[а-я]+
    адрес[а-я]*
    ontvanger
    mottagare
    收件人
    地址
    宛先
    あて先
    수신자
    받는 ?사람
""")
_SOMEBODY = alternatives(r"""
    contact
    from
    by
    write
    postmaster
    abuse
    help(?:desk)?
    support
    e-?mail(?: us)?(?: at)?
    reply(?:-| )to
    return-path
    sender
    envelope-from
    cc
    bcc
    author
    subject
    von
    de
    от
    od
    hello
    hallo
    dear
    hi
    hola
    an email
    list
""")
ANNOUNCES_FAILED = re2.compile(
    rf"(?i)\b{_FAILED_ONE} ?[:=]?\s{{0,40}}(?:\[?(?:smtp|mailto|rfc822)[:;] ?)?[<\"'(\[]{{0,3}}$"
)
ANNOUNCES_SOMEBODY = re2.compile(
    rf"(?i)\b{_SOMEBODY},? ?[:=]? {{0,3}}(?:(?:the|our|your) )?(?:postmaster|administrator)?"
    r" ?(?:at|:)? ?[<\"'(\[]{0,3}(?:smtp:|mailto:)?$"
)

# Who writes bounces.
DAEMON = re2.compile(
    "(?i)(?:^|[<\\s\"'(])"
    + alternatives(r"""
        mailer-?daemon
        mail-?daemon
        mdaemon
        post_?-?master\\?
        mail[._-]?delivery[._a-z-]*
        mail[._-]?system
        bounces?
        mailer
        smtp[._-]?(?:gateway|daemon)
        [a-z0-9_]*smtp_mail_service
        symantec_antivirus[a-z_]*
        delivery[._-]?(?:status|notification|subsystem)
    """)
    + "[@\\s\"'>)]|"
    + alternatives(r"""
        mail(?:er)? deliver[a-z]* (?:sub)?system
        system administrator
        delivery subsystem
        mail administrator
        mailer-daemon
        ^<>$
        ^$
        interscan
        mail server
    """)
)

# Subjects that only a program writes.
SURELY_AUTOMATIC = matcher(r"""
    auto(?:matic|mated|matische)?[ -]?(?:re(?:ply|spon)|antw)
    out of (?:the )?office
    abwesenheit
    réponse automatique
    automatic
    automatique
    automática
    automatica
    automatisch
    automatisk
    автоответ
    автоматич
    自动
    自動
    자동
""")
