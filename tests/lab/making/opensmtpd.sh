# opensmtpd: unpacked below PACKAGES; needs libevent-2.1-7
cp -a "$PACKAGES"/opensmtpd/usr/. /usr/
useradd --system --user-group -d /nonexistent -s /usr/sbin/nologin opensmtpd; useradd --system --user-group -d /nonexistent -s /usr/sbin/nologin opensmtpq
useradd -m local
mkdir -p /var/spool/smtpd /var/lib/opensmtpd/empty /var/empty; chmod 711 /var/spool/smtpd
cat > /etc/aliases <<'C'
team: local, reader@receiver.example
C
cat > /etc/smtpd.conf <<'C'
table aliases file:/etc/aliases
queue ttl 20s
bounce warn-interval 4s
listen on 192.0.2.10 port 25 hostname mx.sender.example
action box maildir alias <aliases>
action out relay helo mx.sender.example
match from any for domain sender.example action box
match from any for any action out
C
/usr/sbin/smtpd -d > /mnt/mta.log 2>&1 &
send_all 50
