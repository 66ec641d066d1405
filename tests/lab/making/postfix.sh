# postfix: installed on this machine (Debian package postfix)
mkdir -p /var/vmail; chown 65534 /var/vmail
cat > /etc/postfix/main.cf <<'C'
compatibility_level = 3.7
maillog_file = /var/log/maillog
myhostname = mx.sender.example
mydestination =
local_transport = error:local delivery is off
local_recipient_maps =
alias_maps =
inet_interfaces = 192.0.2.10
inet_protocols = ipv4
mynetworks = 192.0.2.0/24
smtpd_relay_restrictions = permit_mynetworks, reject
virtual_mailbox_domains = sender.example
virtual_mailbox_base = /var/vmail
virtual_mailbox_maps = static:box
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_alias_maps = inline:{ { team@sender.example = local@sender.example, reader@receiver.example } }
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
maximal_queue_lifetime = 8s
delay_warning_time = 2s
C
sed -i 's/^smtp .*inet.*smtpd/smtp inet n - n - - smtpd/; s/^\([a-z]\S* *\S* *\S* *\S* *\)y /\1n /' /etc/postfix/master.cf
postfix check && postfix start
send_all 20
