# exim: exim4-daemon-light unpacked below PACKAGES; needs libidn12
id Debian-exim > /dev/null 2>&1 || useradd --system --no-create-home --user-group Debian-exim
cp -a "$PACKAGES"/exim4-daemon-light/usr/. /usr/
mkdir -p /var/spool/exim4 /var/log/exim4 /var/vmail /etc/exim4; chown Debian-exim /var/spool/exim4 /var/log/exim4 /var/vmail
cat > /etc/exim4/exim4.conf <<'C'
primary_hostname = mx.sender.example
local_interfaces = 192.0.2.10
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
keep_environment =
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all
delay_warning = 3s
bounce_return_size_limit = 50K
never_users =
begin acl
accept_all:
  accept
begin routers
team:
  driver = redirect
  domains = sender.example
  local_parts = team
  data = local@sender.example, reader@receiver.example
box:
  driver = accept
  domains = sender.example
  transport = to_box
out:
  driver = dnslookup
  transport = to_host
begin transports
to_box:
  driver = appendfile
  file = /var/vmail/box
  user = Debian-exim
to_host:
  driver = smtp
  hosts_try_fastopen =
  hosts_try_dane =
  dnssec_request_domains =
begin retry
* * F,8s,2s
begin rewrite
begin authenticators
C
/usr/sbin/exim4 -bd -q2s &  # the first process never sends itself to the background
send_all 20
