"""The doors: check who knocks, store, answer. No parsing of mail.

smtp.py         the SMTP session, and `listening`, which opens the door
door.py         what its sessions share: domains, limits, counts, how it is closed
path.py         addresses and parameters of MAIL and RCPT
certificate.py  what STARTTLS needs
"""
