"""Mail that is brought in from files: mboxes, Maildirs, folders of mails, and exports of an archive."""
