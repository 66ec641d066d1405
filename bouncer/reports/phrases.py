"""What a mail is: what servers and people write in bounces, warnings and auto-replies.

Data: one phrase a line, in lower case, in the languages they use, as it stands in a text whose
lines are joined by one space. Where things stand in such a text is told by landmarks.py.
"""

from bouncer.reports.search import Phrases, phrases

# Who writes bounces: part of a From field.
DAEMONS = Phrases("""
    mailer-daemon
    postmaster
    mail delivery
    mailerdaemon
    system administrator
    delivery subsystem
    delivery system
    mail.delivery
    mail-delivery
    maildelivery
    mdaemon
    mail-daemon
    maildaemon
    mail system
    mail-system
    mailsystem
    post_master
    post-master
    mail administrator
    mail server
    mailserver
    interscan
    smtp_mail_service
    symantec_antivirus
    delivery status
    delivery-status
    delivery notification
    <>
    mailmarshal
    administrador del sistema
    administrador do sistema
    administrateur syst
    amministratore di sistema
    systeembeheerder
    mail router
    mail_router
    mail transfer agent
    mail transport
    message transfer
    smtp gateway
    smtp server
    mailsweeper
    scanmail
    groupshield
    content-filter
    mailer_daemon
    mailer daemon
    mailgate
    amavis
    virusmaster
    virusalert
    mail gateway
    mail-gateway
    secure gateway
    mailessentials
    spamfilter
    mail robot
    posta sistemi
    sistema di posta
    serwer poczty
    servidor de correo
    servidor de e-mail
""")

# Authors that are no persons, and write of other things too.
MACHINES = Phrases("""
    no-reply
    noreply
    no_reply
    donotreply
    do-not-reply
    system
    server
""")

# How the subject begins of a report that a person passes on, and of an answer.
PASSED_ON = ("fw:", "fwd:", "wg:", "tr:", "rv:", "转发")
ANSWERS = ("re:", "aw:", "sv:", "回复", "答复")

# How the subject begins of what postmasters and owners of mailboxes are sent about their own.
NOTICES = (
    "postfix smtp server: errors",
    "postfix smtp client: errors",
    "spam report",
    "spam digest",
    "spam summary",
    "spam quarantine",
    "quarantine report",
    "quarantine summary",
    "quarantine digest",
    "cron <",
    "anacron",
    "[fail2ban]",
    "users over quota",
    "mailboxes over quota",
    "accounts over quota",
    "aviso: caixas postais",
)

# The same, anywhere in a subject that tells of no failure.
NOTICE_SUBJECTS = Phrases("""
    maintenance
    wartung
    mantenimiento
    manutenção
    manutenzione
    onderhoud
    konserwac
    údržb
    underhåll
    vedligehold
    vedlikehold
    huolto
    karbantart
    bakım
    συντήρησ
    техническ
    профилакт
    メンテナンス
    系统维护
    系統維護
    시스템 점검
    received and queued
    has been limited
    mailbox is almost full
    voicemail
    voice mail
    fax transmission
    password
    passwort
    kennwort
    contraseña
    mot de passe
    senha
    hasło
    пароль
    パスワード
    密码
    비밀번호
""")

# What postmasters are told of their own server: a whole log, a bounce that is stuck.
SERVER_LOGS = Phrases("""
    the sender is <>
    grand totals
    log summaries
    logwatch
    message bounce detail
    message deferral detail
    message reject detail
    per-hour traffic
    per-day traffic
    mail statistics
    -queue id-
    banned by fail2ban
    your pipeline has
    assertionerror
""")

# What addressees are told of what was kept from them, and what machines tell that carry no mail. A
# bounce may say so too, or quote the subject of a mail that does: only where no server is quoted.
OTHERS_MAIL = Phrases("""
    backup job
    fax queue
    fax transmission
    new voicemail
    sms enviado al número
    not delivered to you
    message to you was blocked
    message to you has been
    mail to you was blocked
    mail to you has been
    an sie gerichtete
    an sie wurde blockiert
    dirigido a usted ha sido
    dirigida a usted ha sido
    qui vous était destiné
    a lei indirizzat
    indirizzato a lei
    dirigida a você
    endereçada a você
    aan u gericht
    adresowaną do ciebie
    wiadomość do ciebie
    skierowaną do ciebie
    адресованное вам
    あなた宛
    发给您的邮件
""")

# What tells of parcels, programs and tickets, whose deliveries fail too.
OTHER_DELIVERIES = Phrases("""
    your reply above this line
    reply to this email directly
    view it on github
    commented on
    traceback (most recent call last)
    parcel
    shipment
    tracking number
    your package
    sendungsnummer
    ihre sendung
    ihr paket
    annahme verweigert
    numéro de suivi
    votre colis
    número de seguimiento
    su paquete
    il tuo pacco
    numero di spedizione
    sua encomenda
    twoja paczka
    twoja przesyłka
    ваша посылка
    お荷物
    包裹
    택배
    заказ №
    заказ n
""")

# That a mail did not arrive: words no other mail is likely to have.
FAILURES = Phrases("""
    not be delivered
    to deliver your message
    undeliverable
    undelivered
    could not deliver
    not be forwarded
    not been forwarded
    unable to forward
    returned mail
    permanent fatal errors
    unable to deliver
    delivering your mail
    did not reach the following
    was not delivered
    transcript of session
    non-delivery
    nondelivery
    not deliverable
    not been delivered
    couldn't be delivered
    failed recipient
    delivery failed
    delivery has failed
    delivery failure
    failed to deliver
    failure to deliver
    trouble delivering
    problem delivering
    error delivering
    delivery error
    had delivery problems
    not received by
    did not receive
    following recipient
    following address
    failed with: 5
    rejected recipient
    was rejected
    were rejected
    been rejected
    is rejected
    message rejected
    has been returned
    been postponed
    was blocked
    smtp error
    remote host said
    error message below
    exceeds allowed size
    mailbox is full
    mailbox full
    mailbox exceed
    over quota
    overquota
    quota exceeded
    exceeding their quota
    unknown user
    user unknown
    unknown recipient
    no such user
    no such recipient
    no such mailbox
    invalid recipient
    invalid user
    invalid address
    invalid mailbox
    does not exist
    doesn't exist
    no mailbox here
    no valid recipients
    unknown host
    host unknown
    account has been disabled
    account is disabled
    too many hops
    mail loop
    loop alert
    duplicated message-id
    incorrectly constructed
    not listed in
    did not exactly match
    may not exist
    encountered an error while being processed
    group you tried to contact
    no se ha podido entregar
    no se pudo entregar
    no pudo ser entregado
    no pudo entregarse
    quizás no exista
    no existe
    n'a pas pu être
    n'ont pas pu être
    n'a pas été remis
    n'a pu être remis
    échec de remise
    échec de la remise
    échec de livraison
    n'existe pas
    impossible de remettre
    nicht zugestellt
    nicht ausgeliefert
    nicht zustellbar
    unzustellbar
    existiert nicht
    zustellung fehlgeschlagen
    non è stato possibile
    impossibile consegnare
    impossibile recapitare
    mancata consegna
    non esiste
    não foi entregue
    não foi possível entregar
    não pôde ser entregue
    não existe
    niet worden afgeleverd
    niet worden bezorgd
    niet afgeleverd
    kan niet worden
    bestaat niet
    nie istnieje
    nie można dostarczyć
    nie można było dostarczyć
    nie mogła zostać dostarczona
    nie została dostarczona
    nie zostało dostarczone
    nie udało się dostarczyć
    niedostarcz
    doręcz
    neexistuje
    nedoruč
    не может быть доставлено
    невозможно доставить
    не удалось доставить
    не было доставлено
    недоставлен
    не существует
    ενδέχεται να μην υπάρχει
    δεν παραδόθηκε
    ممکن است موجود نباشد
    मौजूद न हो
    teslim edilemedi
    无法发送
    无法投递
    无法送达
    無法投遞
    無法送達
    无法正常接受
    投递失败
    投遞失敗
    发送失败
    傳送失敗
    退信
    退回
    不存在
    送信できません
    送信に失敗
    配信できません
    配信に失敗
    配送できません
    お届けできません
    届けられません
    見つかりません
    存在しません
    リストにありません
    メールボックスが一杯
    エラーのため
    발송 실패
    전송 실패
    전송되지 않았
    전달되지 못
    반송
    존재하지 않
    has stopped the following
    not yet been fully
    have yet to be delivered
    has been frozen
    not a member of this mailing list
    loop back warning
    no se entregó
    no llegó a
    no ha llegado
    no se puede entregar
    no fue entregado
    n'a pas été distribué
    n'a pas atteint
    n'est pas parvenu
    échec de distribution
    impossible de distribuer
    nicht erreicht
    unbekannter empfänger
    unbekannter benutzer
    empfänger unbekannt
    benutzer unbekannt
    postfach ist voll
    non è stato consegnato
    non ha raggiunto
    non è stato recapitato
    recapito non riuscito
    utente sconosciuto
    não conseguiu
    não pode ser entregue
    não alcançou
    niet bereikt
    niet bezorgd
    bezorging is mislukt
    nådde inte
    inte leverera
    ble ikke levert
    ikke levere
    nåede ikke
    nådde ikke
    ei voitu toimittaa
    ei ole toimitettu
    toimitus epäonnistui
    nie dotarła
    nie została wysłana
    nie mogłem dostarczyć
    nie ma takiej skrzynki
    nelze doručit
    nebyla doručena
    nem kézbesíthető
    nem sikerült kézbesíteni
    teslim edilemiyor
    iletilemedi
    не может быть отправлено
    не дошло
    не доставлен
    не вдалося доставити
    неможливо доставити
    届きませんでした
    配信されませんでした
    送信されませんでした
    到達しません
    不明のため
    未送达
    未能送达
    未能成功
    无法传递
    無法傳遞
    未傳遞
    递送失败
    传递失败
    被退
    배달되지 않
    배달할 수 없
    보낼 수 없
    발송이 실패
    발송하지 못
    konnte nicht gesendet
    konnte nicht übermittelt
    nu a putut fi livrat
    nebylo možné doručit
    não foi possível enviar
    not have been delivered
    delivery of the email was stopped
    error de entrega a
    error al entregar
    fehler bei der nachrichtenzustellung
    falha na entrega
    recapito ai
    non è riuscito per i
    levering til disse
    levering mislyk
    leveransen till dessa
    toimitus seuraaville
    bezorging bij deze
    grup nie powiodło się
    doručení se nezdařilo
    kézbesítése sikertelen
    livrarea nu a
    не удается доставить
    не удаётся доставить
    сбой доставки
    не вдається доставити
    传递邮件时失败
    時失敗
    배달하지 못
    لم يتم تسليم
    تعذر تسليم
    לא נמסרה
    ไม่สามารถส่ง
    không thể gửi
    was delayed
    is delayed
    has been delayed
    error occurred while sending
    wurde nicht an
    no se ha entregado
    levererades inte
    teslim edilmedi
    未送達
    n'a pas encore été
    est retardée
    遅延しています
    nepodařilo doručit
    không gửi được
    отклонен
    відхилен
    a été bloqué
    a été rejeté
    a été refusé
    została odrzucona
    zostało odrzucone
    została zablokowana
    ha sido rechazad
    fue rechazad
    ha sido bloquead
    no se ha enviado
    è stato rifiutato
    è stato respinto
    foi rejeitad
    foi recusad
    foi bloquead
    wurde abgelehnt
    wurde abgewiesen
    wurde zurückgewiesen
    wurde blockiert
    wurde nicht weitergeleitet
    werd geweigerd
    is geweigerd
    weigerde
    avvisades
    blev afvist
    ble avvist
    hylättiin
    byla odmítnuta
    byla zablokována
    elutasított
    reddedildi
    拒否されました
    被拒绝
    被拒絕
    거부되
    blocked your e-mail
    blocked your email
    blocked your message
    is not defined
    not authorized to send
    not authorised to send
    not subscribed to the list
    found in the attachment
    kom inte fram
    kom ikke frem
    is being returned
    did not attempt delivery
    infected and has been deleted
    als unerwünschte
    konnte nicht an
    konnten nicht an
    giving up
    gave up
    your message was not sent
    aus der warteschlange entfernt
    uit de wachtrij verwijderd
    could not be sent
    could not be passed on
    can't deliver
    cannot deliver
    couldn't deliver
    ส่งไม่สำเร็จ
    ส่งไม่ถึง
    não entregue
    was not sent to
    was not sent.
    not be sent.
    can not forward
    cannot forward
    could not forward
    message was deleted
    prohibited content
    has been blocked
    have been blocked
    ulaştırılama
    ulaşmadı
    gönderilemedi
    gagal terkirim
    gagal dikirim
    tidak dapat dikirim
    tidak terkirim
    không thực hiện được
    không được gửi
    gửi không thành công
    تحویل داده نشد
    تحویل نشد
    ارسال نشد
    لم تصل
    فشل تسليم
    فشل في تسليم
    תקלה במסירת
    לא ניתן היה למסור
    未能投递
    未能发送
    未能送出
    無法寄達
    無法寄送
    無法送出
    寄送失敗
    寄信失敗
    配達できません
    配達されません
    お送りできません
    届けることができません
    전송할 수 없
    전달할 수 없
    nije isporučen
    nije moguće isporučiti
    nebolo možné doručiť
    ni bilo mogoče dostaviti
    nepavyko pristatyti
    neizdevās piegādāt
    ei õnnestunud
    не бе доставен
    δεν ήταν δυνατή η παράδοση
    not delivered the following
    could not be stored
    and is returned
    thrown away
    do not accept mail from
    does not receive e-mail
    does not receive mail
    nicht erhalten
    не е доставен
    kohale toimetada
    nije isporucen
    nisu isporuč
    ni bila dostavljena
    nepristatyt
    was automatically rejected
    automatisch abgelehnt
    rejeté automatiquement
    message not delivered
    mail not delivered
""")

# That it tells its reader of a mail that they sent.
YOUR_MAIL = Phrases("""
    your message
    your mail
    your e-mail
    your email
    you sent
    ihre nachricht
    ihre e-mail
    ihre mail
    votre message
    votre courriel
    votre e-mail
    su mensaje
    su correo
    il tuo messaggio
    suo messaggio
    sua mensagem
    seu e-mail
    uw bericht
    twoja wiadomość
    państwa wiadomość
    ditt meddelande
    din melding
    din besked
    viestisi
    ваше письмо
    ваше сообщение
    お送りいただいた
    送信されたメール
    您的邮件
    您发送的
    您寄給
    보내신 메일
    귀하의 메일
""")

# With one of these, `deliver` says the same however the sentence is built.
FAILING = Phrases("""
    fail
    unable
    could not
    couldn't
    cannot
    not be
    error
    reject
    refus
    permanent
    undeliver
    bounce
    aborted
    problem
    trouble
    delay
    postpone
    not yet
    return
""")

# That it has not arrived yet, and somebody still tries.
STILL_TRYING = Phrases("""
    warning message only
    not yet been delivered
    has been delayed
    have been delayed
    is delayed
    was delayed
    will be retried
    not yet delivered
    not been delivered yet
    delivery attempts will continue
    will continue to be made
    continue to attempt
    continue to try
    continue trying
    keep trying
    still being retried
    still being tried
    still undelivered
    still in the queue
    kept in the queue
    postponed
    advisory-only
    just a warning
    temporary failure report
    do not need to resend
    do not need to re-send
    delay reason
    could not be delivered immediately
    (delay)
    notification (delay
    delayed mail
    delivery delay
    message delayed
    warning: message
    warning: could not send
    delivery warning
    verzögert
    retardé
    retrasad
    opóźni
    再送を試み
    再送を続け
    延迟
    have yet to be delivered
    has been frozen
    not yet been fully
    erneut versucht
    sera à nouveau
    se seguirá intentando
    verrà ritentat
    wordt opnieuw
    pozostaje w kolejce
    попытки доставки будут
    配信が遅れ
    still pending for
    配信が遅延
    will retry for
    we'll try again
    we will try again
    will be tried again
    will retry sending
    pas encore été remis
    遅延しています
    配送遅延
    noch nicht zugestellt
    weitere zustellversuche
    verzögerung:
    versuchen die zustellung
    versuchen es weiter
    weiterhin versuch
    weiter versuch
    verzögerung bei
    verzögerung der
    continuaremos tentando
    continuaremos a tentar
    apenas um aviso
    atrasada
    ainda não foi entregue
    seguiremos intentando
    solo una advertencia
    aún no se ha entregado
    demorad
    simple avertissement
    continuerons
    différé
    continueremo
    in ritardo
    ritardata
    blijven proberen
    vertraagd
    będziemy próbować
    ponawiać
    zpožděn
    další pokus
    отложен
    повторные попытки
    продолжим попытки
    пока не доставлен
    ещё не доставлен
    försenad
    fördröj
    fortsätter att försöka
    forsinket
    forsinkelse
    fortsette å prøve
    fortsætter med at forsøge
    viivästy
    yritetään uudelleen
    késik
    késedelm
    újra megpróbál
    gecikti
    gecikme
    tekrar denenecek
    denemeye devam
    καθυστ
    întârzi
    再送します
    延遲
    將繼續嘗試
    继续投递
    继续尝试
    지연
    ล่าช้า
    chậm trễ
    tertunda
    mencoba lagi
    solo un avviso
    in attesa di consegna
    tentativi proseguiranno
    still trying to deliver
    notification: still trying
    nouvelles tentatives seront
    nouvelles tentatives auront
    ulteriori tentativi verranno
    ulteriori tentativi saranno
    nieuwe poging wordt
    kolejne próby zostaną
    задержано
    задерживается
    再試行します
    再試行を
    재시도합니다
    다시 시도합니다
    다시 시도할
    seguiremos intentándolo
    retraso en la entrega
    todavía no ha podido
    will retry until
    to deliver your message yet
    we will retry to
""")

# That nobody tries any more, whatever else is said of delays.
GIVEN_UP = Phrases("""
    permanent
    given up
    giving up
    gave up
    not going to try again
    was aborted
    delivery failed
    delivery has failed
    (failure)
    returned mail
    returning message
    failure notice
    undeliverable
    is being returned
    message is too old
    попытки прекращены
    endgültig nicht zugestellt
    endgültig fehlgeschlagen
    zustellung wurde aufgegeben
    a été abandonné
    échec définitif
    fallo definitivo
    erro definitivo
    errore definitivo
    definitieve fout
    配信を断念しました
    配信を中止しました
    送信を中止しました
    已放弃投递
    définitivement rejeté
    포기했
    окончательно отклон
    endgültig aufgegeben
""")

# That it has arrived: how a subject begins, and words of a report that somebody asked for.
DELIVERED_SUBJECTS = phrases("""
    delivered:
    relayed:
    successful mail delivery
    return receipt
    delivery status notification (success
    zugestellt:
    remis :
    remis:
    entregado:
    entregue:
    consegnato:
    bezorgd:
    доставлено:
    已送达:
    配信済み:
""")
DELIVERED = Phrases("""
    was successfully delivered to the destination
    addresses had successful delivery notifications
    has been delivered to the following recipients
    delivery to these recipients or groups is complete
    delivery to these recipients or distribution lists is complete
""")

FAILED_SUBJECTS = Phrases("""
    undeliver
    delivery fail
    mail delivery
    delivery notification
    failure notice
    returned mail
    returned message
    message delivery
    non-deliver
    nondeliver
    not delivered
    not been delivered
    could not be delivered
    couldn't be delivered
    unable to deliver
    failed delivery
    failed mail
    failure delivery
    delivery error
    delivery problem
    delivery report
    delivery system
    delivery has failed
    delivery was
    delivery unsuccessful
    delivery incomplete
    error during delivery
    error delivering
    problem delivering
    delivery delay
    delayed mail
    warning: could not
    could not send
    could not be sent
    warning: message
    rejected mail
    rejected message
    automatically rejected
    mail failure
    mail failed
    mail error
    mail system
    mail could not
    message status
    status notification
    returned to sender
    returning message to sender
    sending your mail
    sending your message
    sent mail was
    processing error
    loop alert
    user unknown
    unknown user
    unknown recipient
    bounced mail
    bounce notif
    mailbox full
    over quota
    unzustellbar
    nicht zustellbar
    zustellung
    zustellfehler
    non remis
    non distribu
    échec de
    non recens
    no entregad
    no se puede entregar
    no se pudo entregar
    error de entrega
    sin entregar
    devuelto
    devolvid
    não entreg
    falha na entrega
    non recapit
    mancata consegna
    mancato recapito
    niet bezorgd
    niet afgeleverd
    onbestelbaar
    niedostarcz
    nie dostarcz
    nie można dostarczyć
    zwrot wiadomo
    zwrot poczty
    nedoruč
    kézbesít
    не достав
    недостав
    невозможно достав
    возврат
    投递失败
    传输失败
    傳輸失敗
    傳送失敗
    发送失败
    邮件退回
    退信
    邮件传输
    送信失敗
    配信失敗
    配信不能
    配信に失敗
    配信でき
    配送不能
    未達
    メールエラー
    メール配信
    エラー通知
    送信できません
    送信エラー
    반송
    전송 실패
    전송실패
    발송 실패
    발송실패
    배달 실패
    message you sent blocked
    loop back warning
    fml system error
    has been frozen
    waiting mail
    no llegó
    entrega fallid
    fallo de entrega
    fallo en la entrega
    error en la entrega
    no se ha podido entregar
    não foi entregue
    não foi possível entregar
    não é possível entregar
    erro de entrega
    falha de entrega
    impossible à remettre
    retour à l'expéditeur
    errore di consegna
    errore di recapito
    impossibile recapitare
    recapito non riuscito
    non consegnat
    nicht zugestellt
    zurückgesandt
    bezorgfout
    leveringsfejl
    leveringsfeil
    leveransfel
    kan inte levereras
    kan ikke leveres
    olevererbar
    ej levererat
    ikke levert
    ikke leveret
    det gick inte att leverera
    toimittamaton
    błąd dostarcz
    nie doręcz
    nie mógł zostać dostarcz
    dostarczenie nie powiod
    nelze doručit
    chyba doruč
    stav doruč
    nem kézbes
    nelivrat
    nelivrabil
    δεν παραδ
    μη παραδ
    ошибка доставки
    не удалось доставить
    не вдалося доставити
    配送できません
    配信されませんでした
    不達
    戻りメール
    不明メール
    宛先不明
    未送达
    未傳遞
    未传递
    无法投递
    無法投遞
    无法送达
    無法傳遞
    退件
    送达失败
    배달되지 않
    전달되지 않
    전송 결과
    échec d'envoi
    返送されました
    teslim edilem
    toimitus epäonnistui
    bezorging mislukt
    niet worden afgeleverd
    niet worden bezorgd
    request to mailing list
    rejected posting
    del estado de entrega
    de estado de entrega
    notificação de status
    notificação do estado
    notifica sullo stato
    notification d'état
    не удается доставить
    не удаётся доставить
    сбой доставки
    не вдається доставити
    ei voi toimittaa
    εκκρεμεί παράδοση
    غير قابل للتسليم
    לא ניתן למסור
    ไม่สามารถส่ง
    không thể gửi
    considered unsolicited bulk email
    found in your message
    found in your mail
    virus found in message
    message not sent
    mail not sent
    virus found in a message you
    in mail from you
    contents from you
    remise différée
    entrega retrasada
    entrega adiada
    consegna ritardata
    配送遅延
    отклонен
    відхилен
    zwrot:
    odrzucon
    zablokowan
    anomalia messaggio
    message blocked
    rechazad
    bloquead
    límite de envío
    rejeté
    refusé
    bloqué
    rifiutat
    respint
    rejeitad
    recusad
    abgelehnt
    abgewiesen
    zurückgewiesen
    geweigerd
    avvisat
    afvist
    avvist
    odmítnut
    zablokován
    elutasít
    reddedil
    拒否
    被拒
    거부
    kunde inte levereras
    kunne ikke leveres
    message bounced
    mail bounced
    nicht weitergeleitet
    weiterleitung fehlgeschlagen
    can't deliver
    cannot deliver
    couldn't deliver
    could not deliver
    verzögerung
    届けられません
    届きません
    ส่งไม่สำเร็จ
    ส่งไม่ถึง
    entrega atrasada
    message dropped
    messages dropped
    prohibited content
    delivery refused
    forwarding failed
    ulaştırılama
    gönderilemedi
    gagal terkirim
    gagal dikirim
    tidak terkirim
    không gửi được
    تعذر تسليم
    فشل تسليم
    تحویل نشد
    ارسال نشد
    无法传递
    傳遞失敗
    寄送失敗
    寄信失敗
    무사히 전송되지
    in attesa di consegna
    延迟投递
    nepavyko
    неуспешна доставка
    neisporu
    nije isporu
    не е достав
    kohale toimetada
    forsinket
    försenat
    still trying
    mailbox over limit
    attachment blocking
    forbidden attachment
    mail blocked by
    your posting to
""")

# Subjects of auto-replies: those only a program writes, and those that take a second sign.
AUTOMATIC_SUBJECTS = Phrases("""
    automatic reply
    automatic response
    auto-reply
    auto reply
    autoreply
    auto-response
    auto response
    autoresponse
    autoresponder
    auto-responder
    automated reply
    automated response
    out of office
    out of the office
    out-of-office
    automatische antwort
    automatische rückantwort
    abwesenheitsnotiz
    abwesenheitsnachricht
    abwesenheitsassistent
    réponse automatique
    respuesta automática
    respuesta automatica
    resposta automática
    risposta automatica
    automatisch antwoord
    autosvar
    automatiskt svar
    automatisk svar
    automaattinen vastaus
    autoodpowied
    automatyczna odpowied
    automatická odpov
    automatikus válasz
    răspuns automat
    автоответ
    автоматический ответ
    αυτόματη απάντηση
    otomatik yan
    自动回复
    自动答复
    自動回覆
    自動回復
    自動応答
    自動返信
    자동 회신
    자동회신
    자동 응답
    자동응답
    부재중 자동
    رد تلقائي
    מענה אוטומטי
    phản hồi tự động
    balasan otomatis
    ตอบกลับอัตโนมัติ
""")
AWAY_SUBJECTS = Phrases("""
    no longer with
    no longer at
    no longer work
    has left the company
    have left the company
    nicht mehr bei
    nicht mehr im unternehmen
    ausgeschieden
    ne travaille plus
    ne fais plus partie
    ne fait plus partie
    ya no trabaj
    não trabalho mais
    não trabalha mais
    non lavoro più
    non lavora più
    werkt niet meer
    nie pracuj
    больше не работа
    已离职
    已離職
    退職しました
    away from
    away until
    on holiday
    on leave
    vacation
    maternity leave
    annual leave
    ooo:
    oof:
    currently out
    currently away
    currently unavailable
    abwesen
    nicht im büro
    nicht im haus
    im urlaub
    absence du
    absent du
    absent jusqu
    message d'absence
    en vacances
    congés
    fuera de la oficina
    fuera de oficina
    ausente
    de vacaciones
    fora do escrit
    ausência
    de férias
    fuori sede
    fuori ufficio
    assenza
    afwezig
    frånvar
    ikke på kontoret
    poissa
    poza biurem
    nieobecno
    urlop
    mimo kancel
    házon kívül
    в отпуске
    отсутствую
    отсутствие
    εκτός γραφείου
    ofis dışında
    不在通知
    不在のお知らせ
    不在です
    休暇中
    休假
    부재중
    휴가
""")

# What nobody writes who does not ask the sender to prove something.
_CERTAIN_CHALLENGES = """
    only from senders i have approved
    to my list of approved senders
    senders verify themselves
    protecting myself from receiving junk
    only have to confirm your address once
    this confirmation verifies that your
    to release your pending message
    prove that you are a person
    prove that you are human
    prove you are human
    prove that you are not a
    prove you are not a
    type the letters shown
    type in the number you see
    before your message can be delivered, you must
    before your message is delivered, please
    your message will be delivered once you confirm
    you are not a robot
    ohne bestätigung wird ihre nachricht
    dass sie ein mensch sind
    dass sie kein roboter sind
    damit ihre nachricht zugestellt werden kann, bestätigen
    que vous n'êtes pas un robot
    afin que votre message soit délivré, veuillez
    pour que votre message soit remis, veuillez
    que no es un robot
    para que su mensaje sea entregado, confirme
    para que sua mensagem seja encaminhada
    para que sua mensagem seja entregue, confirme
    usa o antispam
    di non essere un robot
    że nie jesteś robotem
    że jesteś człowiekiem
    что вы не робот
    あなたがロボットでない
    证明您不是
    this is the qconfirm
    klicken sie einmalig auf
"""
CERTAIN_CHALLENGES = Phrases(_CERTAIN_CHALLENGES)

# What a challenge says, and other mail too.
CHALLENGES = Phrases(f"""
    {_CERTAIN_CHALLENGES}
    please confirm your message
    please confirm your email
    please confirm that you
    please verify
    confirm your identity
    confirm you are
    verify you are
    verify that you are
    prove you are
    confirm that you are a
    you are human
    not a spammer
    guest list
    is awaiting your
    waiting for your confirmation
    waiting for verification
    awaiting verification
    awaiting confirmation
    is being held
    has been held
    held until
    held pending
    quarantined until
    challenge-response
    challenge/response
    challenge response
    approved senders
    approved sender list
    allowed senders
    allowed sender list
    trusted senders
    white list
    whitelist
    safe senders
    one-time verification
    one-time confirmation
    one time verification
    sender verification
    sender confirmation
    sender authentication
    authenticate yourself
    click the link below to
    click on the link below to
    spam arrest
    spamarrest
    are being held
    bitte bestätigen sie
    bestätigen sie bitte
    zurückgehalten
    confirme su dirección
    confirmez votre adresse
""")
