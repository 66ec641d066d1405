# sendmail: sendmail-bin and sendmail-cf unpacked below PACKAGES; needs m4, liblockfile1, libwrap0
cp -a "$PACKAGES"/sendmail-bin/usr/. "$PACKAGES"/sendmail-cf/usr/. /usr/
mkdir -p /usr/share/sendmail/cf/debian && touch /usr/share/sendmail/cf/debian/autoconf.m4
useradd --system smmta; useradd --system smmsp; useradd -m local
mkdir -p /etc/mail /var/lib/sendmail /var/spool/mqueue && touch /etc/mail/{trusted-users,relay-domains}; chmod 700 /var/spool/mqueue
echo sender.example > /etc/mail/local-host-names
cat > /usr/local/bin/deliver <<'C'
#!/bin/sh
cat >> /tmp/box
C
chmod 755 /usr/local/bin/deliver
cat > /tmp/sendmail.mc <<'C'
divert(0)dnl
OSTYPE(`debian')dnl
DOMAIN(`generic')dnl
define(`confDOMAIN_NAME', `mx.sender.example')dnl
define(`confPID_FILE', `/tmp/sendmail.pid')dnl
define(`STATUS_FILE',`')dnl
define(`confTO_QUEUERETURN', `12s')dnl
define(`confTO_QUEUEWARN', `3s')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`ALIAS_FILE', `/etc/mail/aliases')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`LOCAL_MAILER_PATH', `/usr/local/bin/deliver')dnl
define(`LOCAL_MAILER_ARGS', `deliver $u')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`promiscuous_relay')dnl
FEATURE(`nocanonify')dnl
FEATURE(`no_default_msa')dnl
DAEMON_OPTIONS(`Port=25, Addr=192.0.2.10, Name=MTA')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
C
m4 -D_CF_DIR_=/usr/share/sendmail/cf/ /usr/share/sendmail/cf/m4/cf.m4 /tmp/sendmail.mc | sed '/^O HostStatusDirectory/d; /^O RunAsUser/d; /^O HelpFile/d' > /etc/mail/sendmail.cf
chmod 644 /etc/mail/sendmail.cf
echo 'team: local, reader@receiver.example' > /etc/mail/aliases
/usr/libexec/sendmail/sendmail -bi
/usr/libexec/sendmail/sendmail -bd -q1s
send_all 24
