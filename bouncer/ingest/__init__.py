"""The doors: check who knocks, store, answer. No parsing of mail.

smtp.py         the SMTP session, and `listening`, which opens the door
door.py         what its sessions share: domains, limits, counts, how it is closed
listener.py     where connections are accepted, or turned away
proxy.py        for whom a load balancer connects
pace.py         how often a network may knock, and how often the log says so
path.py         addresses and parameters of MAIL and RCPT
certificate.py  what TLS needs
"""
