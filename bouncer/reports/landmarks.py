"""Where things stand in a report for people: the returned mail, the address, the reason.

Data, as phrases.py is: one phrase a line, in lower case, in the languages that servers use.
"""

from bouncer.reports.search import Phrases, phrases

# Where a report ends and the mail it is about begins.
RETURNED = Phrases("""
    below this line is a copy
    below the next line is a copy
    this is a copy of
    here is a copy of
    here is the first part
    below is a copy of
    included is a copy of
    enclosed is a copy of
    following is a copy of
    copy of the original
    original message follows
    original message as received
    original message headers
    original message header
    original message info
    original message text
    original message:
    original message -
    original message =
    original message ===
    original mail follows
    original mail as follows
    original mail info
    original email follows
    header of the original message
    headers of the original message
    header of your message
    headers of your message
    text of your message
    beginning of your message
    top 20 lines
    unsent message
    message header follow
    message headers follow
    message text follow
    message body follow
    start of returned
    returned message follows
    returned message -
    returned mail -
    returned mail follows
    undelivered message -
    rejected message -
    returned message is below
    forwarded message -
    lines of your original
    lines of the original
    lines of the message
    old message:
    summary of the undelivered
    rejected message follows
    rejected message is attached
    mensaje original
    message d'origine
    message original
    messaggio originale
    ursprüngliche nachricht
    mensagem original
    исходное сообщение
    исходное письмо
    ниже этой линии
    копия сообщения
    oryginalna wiadomość
    kopia twojej wiadomości
    附件中的内容是原信
    附件是您所发送
    原始邮件
    原邮件内容
    原邮件如下
    원본 메시지
    원본메일
    원본 메일
    text of mail follows
    en-têtes du message
    intestazioni originali
    encabezados de mensaje
    kopia wiadomości
    以下是原邮件
    原信内容
""")

# How a line begins or ends that people's programs put above what they quote.
QUOTING = Phrases("""
    wrote:
    writes:
    schrieb
    a écrit
    escribió
    ha scritto
    escreveu
    schreef
    skrev
    kirjoitti
    napisał
    napsal
    írta
    пишет:
    писал
    написав
    yazdı
    έγραψε
    写道
    寫道
    さんは書きました
    님이 작성
""")

# Fields that no report has in its text: where they stand the returned mail begins.
RETURNED_FIELDS = Phrases("""
    received
    message-id
    return-path
    mime-version
    delivered-to
    dkim-signature
    domainkey-signature
    arc-seal
    x-google-
    x-originating-ip
""")

# What stands in front of an address: of the one that failed, or of somebody else.
FAILED_WORDS = frozenset(
    phrases("""
    to
    recipient
    recipients
    recipient(s)
    address
    addresses
    addressed
    addressee
    addressees
    rcpt
    user
    users
    account
    mailbox
    inbox
    attempts
    size
    full
    failed
    rejected
    invalid
    unknown
    bad
    intended
    destination
    host
    userid
    id
    forward-path
    envelope-to
    original-recipient
    final-recipient
    utente
    all'utente
    usuario
    usuário
    utilisateur
    benutzer
    gebruiker
    użytkownika
    uživatel
    пользователя
    пользователь
    destinataire
    destinataires
    destinatario
    destinatarios
    destinatari
    empfänger
    adressat
    adres
    adresat
    получатель
    получателю
    адрес
    адресат
    адресу
    ontvanger
    mottagare
    수신자
    an
    pour
    para
    per
    für
    do
    bounced
    undelivered
    adresse
    boîte
    buzón
    casella
    postfach
    для
    ящик
    reach
    alıcı
    penerima
    příjemce
    příjemci
    címzett
    címzettnek
    mottaker
    modtager
    vastaanottaja
    vastaanottajalle
    destinatar
    destinatarul
    παραλήπτης
    αποδέκτης
    одержувач
    отримувач
    адресант
    primatelj
    prejemnik
    gavėjas
    saņēmējs
    saaja
    המקבל
    לנמען
    المستلم
    إلى
    گیرنده
    ผู้รับ
    bounce
    ungültig
    undeliverable
    mailbox(es)
    address(es)
    user(s)
    addressee(s)
    primatelju
    aadressile
""")
)
FAILED_PAIRS = frozenset(
    phrases("""
    destination de
    gateway for
    message for
    mail for
    delivery for
    address is
    recipient is
    generated from
    expanded from
    (expanded from
    delivered to
    delivery to
    deliver to
    mailbox of
    account of
    buzón de
    boîte de
    adresse de
    casella di
    postfach von
    recipient was
    address was
    adressé à
    adressée à
    envoyé à
    envoyée à
    destiné à
""")
)
FAILED_ENDINGS = (
    "收件人",
    "地址",
    "宛先",
    "あて先",
    "수신자",
    "받는사람",
    "받는 사람",
    "收件者",
    "アドレス",
    "受信者",
    "送信先",
    "到",
    "给",
    "người nhận",
    "đến địa chỉ",
    "ถึง",
    "ผู้รับ",
    "配送先",
    "送付先",
    "收信人",
    "收件地址",
    "收件邮箱",
    "수신인",
    "수신 주소",
    "받는이",
)
# Where the sender's address stands on the next line: `Sender Address:`.
SENDERS_WORDS = frozenset(
    phrases("""
    from
    sender
    reply-to
    return-path
    envelope-from
    von
    absender
    expéditeur
    remitente
    remetente
    mittente
    afzender
    отправитель
""")
)
OTHERS_WORDS = SENDERS_WORDS | frozenset(
    phrases("""
    da
    contact
    by
    write
    postmaster
    administrator
    abuse
    help
    helpdesk
    support
    e-mail
    email
    mail
    cc
    bcc
    author
    subject
    de
    от
    od
    hello
    hallo
    dear
    hi
    hola
    list
    at
    notify
    contacting
    inform
    ask
    questions
    fragen
    kontakt
    contactez
    contacter
    contacto
    contactar
    contattare
    contatto
    assistance
    ayuda
    aide
    hilfe
    nadawca
""")
)
# What stands before the address that somebody has now.
NEW_ADDRESSES = Phrases("""
    has moved to
    has changed to
    changed his address to
    changed her address to
    now reachable at
    can now be reached
    be reached at
    neue adresse
    neuen adresse
    neue mailadresse
    nouvelle adresse
    nueva dirección
    novo endereço
    nieuwe adres
    nieuw adres
    nowy adres
    nová adresa
    ny adress
    uusi osoite
    yeni adres
    новый адрес
    новая почта
    нова адреса
    新しいアドレス
    新アドレス
    新地址
    新邮箱
    新信箱
    새 주소
    새로운 주소
    gebruik voortaan
    prosimy o używanie
    proszę pisać
    используйте
    пишите на
    下記アドレス
    the right address is
    richtige adresse
    korrekte adresse
    bonne adresse
    dirección correcta
    indirizzo corretto
    endereço correto
    juiste adres
    poprawny adres
    правильный адрес
    正しいアドレス
    正确的地址
    new address is
    new address:
    new e-mail address is
    new e-mail address:
    new email address is
    new email address:
    his new address
    her new address
    neue e-mail-adresse
    neue mail-adresse
    nuovo indirizzo
    künftig:
    verwenden sie künftig
    nutzen sie künftig
    in future use
""")
# What stands right before it, and before others elsewhere.
USE_INSTEAD = phrases("""
    please use
    please use instead
    please use the following address
    please use the following address instead
    from now on use
    mail should be sent to
    please write to
    please send mail to
    new e-mail
    new email
    ab sofort
    verwenden sie
    nutzen sie
    nutzen sie stattdessen
    verwenden sie stattdessen
    neue e-mail
    veuillez utiliser
    veuillez utiliser l'adresse
    désormais
    utilice
    utilice la dirección
    nuevo correo
    utilize
    utilize o endereço
    utilizzare
    utilizzare l'indirizzo
    gebruik
    gebruik het adres
""")
OTHERS_ENDINGS = (
    "发件人",
    "寄件人",
    "寄件者",
    "差出人",
    "送信者",
    "보낸사람",
    "보내는사람",
    "발신자",
)
OTHERS_PAIRS = frozenset(
    phrases("""
    contact us
    us at
    mit uns
    uns unter
    avec nous
    con nosotros
    con noi
    fale conosco
    z nami
    с нами
    reply to
    write to
    forward to
    complain to
    report to
    questions to
    subscribed to
    sender address
    original sender
    wrote to
    administrator is
    administrator at
    sich an
    respond to
    écrire à
    d'écrire à
    désormais à
""")
)

# What may follow the address and gives no reason.
NO_REASONS = phrases("""
    bitte
    veuillez
    por favor
    per favore
    proszę
    alstublieft
    пожалуйста
    lütfen
    the body of
    the text of
    the message headers
    please
    if you
    unable to deliver
    (and other
    ---
    ===
    reporting-mta
    i'm not going
    additional information
    original message
    for further
    the message
    your message
    this message
    this is a permanent
    no further
    delivery attempts
    couldn't be delivered.
    could not be delivered.
    ___
    --
    this e-mail
    this email
    for more information
    for information
    if you have
    weitere informationen
    pour plus d
    para más inf
    para mais inf
    per informazioni
    per ulteriori
    więcej informacji
    subject:
    date:
    betreff:
    objet :
    oggetto:
    original text
""")

# What stands before the reason, at the head of a line.
REASON_LABELS = frozenset(
    phrases("""
    reason
    the reason
    reasons
    reason for failure
    reason for rejection
    reason for return
    reason for non-delivery
    the reason for the problem
    failure reason
    error reason
    bounce reason
    rejection reason
    the reason of the delivery failure was
    cause
    error
    error message
    error text
    error description
    error details
    reported error
    last error
    explanation
    diagnosis
    why
    grund
    ursache
    fehler
    begründung
    fehlermeldung
    letzter fehler
    raison
    motif
    erreur
    motivo
    causa
    razón
    último error
    razão
    erro
    errore
    reden
    oorzaak
    foutmelding
    laatste fout
    orsak
    årsag
    årsak
    syy
    fejl
    feil
    virhe
    powód
    przyczyna
    błąd
    důvod
    příčina
    chyba
    dôvod
    indok
    hiba
    motivul
    cauza
    eroare
    причина
    ошибка
    причина ошибки
    помилка
    razlog
    greška
    priežastis
    iemesls
    põhjus
    αιτία
    λόγος
    σφάλμα
    neden
    sebep
    hata
    lý do
    lỗi
    nguyên nhân
    alasan
    keterangan
    sebab
    สาเหตุ
    เหตุผล
    السبب
    سبب
    الخطأ
    علت
    خطا
    סיבה
    הסיבה
    שגיאה
    कारण
    原因
    错误
    錯誤
    错误信息
    退信原因
    失败原因
    失敗原因
    錯誤訊息
    理由
    エラー
    エラー内容
    사유
    원인
    오류
    실패 원인
    반송 사유
    anledning
""")
)

# Reasons that stand before the addresses they are about, as they are written (KDDI's notices).
REASONS_BEFORE = (
    "The user(s) account is disabled.",
    "The user(s) account is temporarily limited.",
    "The user(s) account is temporarily over quota.",
)

# What a sentence has that supposes or advises, and does not say what happened: words and parts.
SUPPOSING_WORDS = frozenset(
    phrases("""
    if
    may
    might
    either
    perhaps
    maybe
    usually
    often
    sometimes
    please
    check
    verify
    ensure
    try
    example
    such
    would
    should
    until
    unless
    falls
    wenn
    bitte
    prüfen
    könnte
    könnten
    eventuell
    vielleicht
    peut
    pourrait
    si
    veuillez
    vérifiez
    vérifier
    puede
    podría
    quizá
    compruebe
    verifique
    pode
    poderia
    talvez
    può
    potrebbe
    oppure
    controllare
    misschien
    controleer
    może
    sprawdź
    если
    может
    могут
    проверьте
    пожалуйста
    when
    whenever
    most
    commonly
    generally
    normally
    normalerweise
    normalement
    normalmente
    solitamente
    обычно
    reasons
    causes
    gründe
    raisons
    causas
    legend
""")
)
SUPPOSING = Phrases("""
    possib
    probabl
    likely
    make sure
    one of the following
    möglich
    peut-être
    posibl
    possív
    mogelijk
    możliw
    возможн
    可能
    请检查
    請檢查
    或者
    如果
    かもしれ
    ご確認
    または
    もしくは
    수 있습니다
    확인하
    또는
    could have
    can be
    could be
    common reason
""")

# Whom one is told to ask: a report about them puts them at the head of a line.
HELPERS = frozenset(
    ("postmaster", "abuse", "support", "help", "helpdesk", "admin", "noc", "info", "webmaster")
)
# Who signs a report, below it.
SIGNERS = (HELPERS - {"info"}) | frozenset(
    phrases("""
    servicedesk
    service
    care
    cs
    hotline
    kundenservice
    kundendienst
    hilfe
    soporte
    ayuda
    suporte
    atendimento
    ajuda
    assistance
    aide
    assistenza
    aiuto
    pomoc
    podpora
    podrska
    destek
    hjelp
    hjaelp
    tuki
    kythuat
    hotro
    bantuan
    layanan
    security
    mailadmin
    sysadmin
    hostmaster
    systems
""")
)
SIGNERS_ENDINGS = ("security", "support", "postmaster", "helpdesk", "admin")

# The commands and owners of mailing lists.
OF_LISTS = ("-subscribe", "-unsubscribe", "-help", "-request", "-owner", "-admin")
