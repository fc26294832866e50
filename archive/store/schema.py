"""Every table of the archive, in the order in which a mail touches them.

Times are UTC milliseconds, ids of messages 63 bits (`archive.post.messages.new_id`), all else counts up.
SQLAlchemy Core on purpose: rows go in by the batch, and nothing is cached that another worker may have changed.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts up by itself only in a column typed exactly INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")
Time = BigInteger

installation = Table(
    "installation",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Of what only one program does at a time, on however many machines (`archive.store.leases`).
lease = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),  # goes up with each holder
    Column("place", String(32), nullable=False),  # the data folder it is held from
    Column("holder", Text, nullable=False),  # for people
    Column("until", Time, nullable=False),  # by the database's clock
    sqlite_with_rowid=False,
)

# --- people ---------------------------------------------------------------------------------------------------

user = Table(
    "user",
    metadata,
    Column("id", Id, primary_key=True),
    Column("email", String(320), nullable=False, unique=True),  # folded to lower case
    Column("name", Text, nullable=False),
    Column("admin", Boolean, nullable=False, default=False),
    Column("password", Text),  # argon2id; null until first set
    Column("language", String(16)),  # null: the browser's
    Column("zone", String(64)),  # IANA name; null: the organisation's
    Column("theme", String(16)),  # light, dark, and each with strong contrast; null: as the browser says
    Column("density", String(16)),  # dense; null: cosy
    Column("shortcuts", Text),  # JSON: {"off": true, "keys": {"next": "j"}}; null: as they come
    Column("created_at", Time, nullable=False),
    Column("disabled_at", Time),
    Column("auditor", Boolean),  # reads everything, and each reading is an event
    Column("undo", Integer),  # seconds in which a mail of theirs can be taken back; null: as is usual
    Column("tour", Integer),  # the step of the first tour one is at; 0: been through, or not wanted; null: not begun
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("token", LargeBinary(32), primary_key=True),  # SHA-256 of what the link carries
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Column("used_at", Time),
)

web_session = Table(
    "web_session",
    metadata,
    Column("token", LargeBinary(32), primary_key=True),  # SHA-256 of the cookie's value
    Column("user", Id, ForeignKey("user.id"), nullable=False, index=True),
    Column("created_at", Time, nullable=False),
    Column("seen_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    Column("agent", Text, nullable=False, default=""),
)

sign_in_try = Table(
    "sign_in_try",
    metadata,
    Column("id", Id, primary_key=True),
    Column("subject", LargeBinary(32), nullable=False),  # SHA-256 of the account tried, or of the address it came from
    Column("at", Time, nullable=False),
    Index(None, "subject", "at"),
)

process = Table(
    "process",
    metadata,
    Column("id", Id, primary_key=True),
    Column("slug", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("second_look", Boolean),  # an answer waits until a colleague lets it go
)

process_address = Table(
    "process_address",
    metadata,
    Column("address", String(320), primary_key=True),  # folded to lower case
    Column("process", Id, ForeignKey("process.id"), nullable=False, index=True),
)

membership = Table(
    "membership",
    metadata,
    Column("process", Id, ForeignKey("process.id"), primary_key=True),
    Column("user", Id, ForeignKey("user.id"), primary_key=True, index=True),
    Column("role", String(16), nullable=False),  # of `archive.people.roles`
    Column("since", Time, nullable=False),
)

# A role that somebody gave to themselves: the others of the process are told of it, also when it has been given up.
assumed_role = Table(
    "assumed_role",
    metadata,
    Column("id", Id, primary_key=True),
    Column("process", Id, ForeignKey("process.id"), nullable=False, index=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("at", Time, nullable=False),
    Column("ended_at", Time),
)

# --- mailboxes ------------------------------------------------------------------------------------------------

# Who gives tokens for mailboxes without a password (OAuth 2.0, RFC 6749), and as what we are known there.
provider = Table(
    "provider",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),  # microsoft, google, custom
    Column("client_id", Text, nullable=False),
    Column("secret", LargeBinary),  # Fernet token of the client secret
    Column("secret_until", Time),  # as the operator said
    Column("consent_days", Integer),  # how long consent lasts, where the operator knows and the provider does not say
    Column("authorize", Text),  # URLs
    Column("token", Text, nullable=False),
    Column("device", Text),
    Column("scope", Text, nullable=False),
    Column("client_scope", Text),  # of a client that asks for itself
    Column("created_at", Time, nullable=False),
    Column("revoke", Text),  # URL; null: none, or that of its kind
)

mailbox = Table(
    "mailbox",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("owner", Id, ForeignKey("user.id")),  # null: impersonal, of the organisation
    Column("imap", Text, nullable=False),  # URL without the password
    Column("smtp", Text),
    Column("secret", LargeBinary),  # Fernet token of the password
    Column("plaintext", Boolean, nullable=False, default=False),  # the operator allowed an unencrypted connection
    Column("created_at", Time, nullable=False),
    Column("provider", Id),  # who gives tokens for it, and is never removed; null: a password
    Column("grant_type", String(16)),  # how: consent, or client (as the application itself); null: a password
)

# The tokens of a mailbox. Not in its row: they change by themselves, every hour.
consent = Table(
    "consent",
    metadata,
    Column("mailbox", Id, ForeignKey("mailbox.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),  # goes up with every change
    Column("refresh", LargeBinary),  # Fernet token of the refresh token; null: a provider that is asked as client
    Column("access", LargeBinary),  # Fernet token of the access token
    Column("access_at", Time, nullable=False),  # when that was given
    Column("access_until", Time, nullable=False),
    Column("given_at", Time, nullable=False),  # by a person
    Column("until", Time),  # when consent has to be given again, where that is known
    sqlite_with_rowid=False,
)

# What the gateway last saw of a mailbox and its server; what a person has to be told of it follows from that.
observation = Table(
    "observation",
    metadata,
    Column("mailbox", Id, ForeignKey("mailbox.id"), primary_key=True, autoincrement=False),
    Column("certificate_until", Time),
    Column("quota_used", BigInteger),  # KiB
    Column("quota_limit", BigInteger),  # KiB; null: there is none
    Column("ahead", BigInteger),  # ms by which the clock of the server, or of its provider, is ahead of ours
    Column("at", Time, nullable=False),
    sqlite_with_rowid=False,
)

# What somebody asked for at a page and the gateway does at once: to sign in somewhere with a password or a consent.
attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    Column("mailbox", Id, ForeignKey("mailbox.id")),  # null: one that is not there yet
    Column("kind", String(16), nullable=False),  # password, consent, new, revoke
    Column("state", String(16), nullable=False, index=True),  # asked, waiting, working, done, failed
    Column("mark", LargeBinary(32), unique=True),  # SHA-256 of what a provider has to bring back, with the browser's
    Column("secret", LargeBinary),  # Fernet token of what is needed; wiped as soon as there is an answer
    Column("created_at", Time, nullable=False),
    Column("until", Time, nullable=False),  # nobody takes it up after that
    Column("outcome_kind", String(32)),  # of `archive.post.troubles`; null: none
    Column("outcome_values", Text),  # JSON: what stands in its sentences
)

binding = Table(
    "binding",
    metadata,
    Column("id", Id, primary_key=True),
    Column("mailbox", Id, ForeignKey("mailbox.id"), nullable=False),
    Column("folder", Text, nullable=False),
    Column("processed", Text, nullable=False),
    Column("process", Id, ForeignKey("process.id")),
    Column("user", Id, ForeignKey("user.id")),
    Column("every", Integer, nullable=False),  # seconds
    Column("created_at", Time, nullable=False),
    Column("next_at", Time, nullable=False),  # due when this has come
    Column("checked_at", Time),
    Column("succeeded_at", Time),
    Column("waiting", Integer, nullable=False, default=0),  # mails seen in the watched folder and not taken yet
    Column("empty_polls", Integer, nullable=False, default=0),
    Column("trouble", Text),  # one sentence in English, null when all is well
    Column("trouble_kind", String(32)),  # of `archive.post.troubles`, for other languages; null: of an earlier version
    Column("trouble_values", Text),  # JSON: what stands in its sentences
    Column("trouble_since", Time),
    Column("late_at", Time),  # when it was said that nothing could be taken for long
    Column("permanent", Boolean, nullable=False, default=False),  # trying again cannot help (Refused)
    Column("failures", Integer, nullable=False, default=0),  # in a row
    Column("uidvalidity", BigInteger),  # of the watched folder, as last seen
    Column("moving", String(16)),  # what its server can do: move, uidplus, copy
    # Recorded before each move, so that an unanswered one is resolved by looking (DESIGN §3, Moving).
    Column("processed_uidvalidity", BigInteger),
    Column("processed_uidnext", BigInteger),
    # Mail below it, under that UIDVALIDITY, was there before (import mode): it never causes replies or notifications.
    Column("before_uidnext", BigInteger),
    Column("began_at", Time),  # the first pass that took what it found
    Column("asked_at", Time),  # its owner has been asked since then, and nothing is taken before the answer
    Column("from_now_at", Time),  # its owner said then that what was there before stays where it is
    Column("desk_of", Id),  # the binding below whose folder this one is a desk
    Column("paused_at", Time),
    Column("paused_by", String(32)),  # user:3, operator
    Column("ended_at", Time),  # disconnected: what was archived remains
    # The Sent folder of an address of the process: read, and nothing is ever moved. In `processed_uidnext` stands up to
    # where it has been read.
    Column("sent", Boolean),
    Column("case", Id),  # of a desk: what is dragged there is filed under this case
    Column("answered", Boolean),  # false: originals of answered mails are not marked
    # Passes that found nothing and sent the same commands each time, counted and not listed (`journal`).
    Column("looks", Integer),
    Column("looks_since", Time),
    Column("looks_like", LargeBinary),  # the commands of one of them, as in the journal
    UniqueConstraint("mailbox", "folder"),
    Index(None, "next_at"),
)

# What is in a folder whose owner has not said yes yet: for the owner alone, and wiped with the answer.
preview = Table(
    "preview",
    metadata,
    Column("binding", Id, ForeignKey("binding.id"), primary_key=True, autoincrement=False),
    Column("at", Time, nullable=False),
    Column("mails", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes, as the server says
    Column("since", Integer, nullable=False),  # of the mails, those that came after it was connected
    Column("oldest", Time),
    Column("newest", Time),
    Column("some", LargeBinary, nullable=False),  # Fernet token of JSON: date, sender and subject of a few
)

# A binding's ledger beside what its folder held when somebody last asked (`archive.post.comparisons`).
comparison = Table(
    "comparison",
    metadata,
    Column("binding", Id, ForeignKey("binding.id"), primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False, index=True),  # waiting, asking, again, done, failed
    Column("until", Time, nullable=False),  # nobody takes it up, or is at it, after that
    Column("at", Time),  # when they were last compared; null: never
    Column("found", Text),  # JSON: what differed then
    Column("trouble_kind", String(32)),  # of `archive.post.troubles`; null: the last try went well
    Column("trouble_values", Text),  # JSON: what stands in its sentences
    sqlite_with_rowid=False,
)

# The commands that were sent to a mail server, by session: for the owner of the mailbox, and for a set time.
journal = Table(
    "journal",
    metadata,
    Column("id", Id, primary_key=True),
    Column("mailbox", Id, ForeignKey("mailbox.id"), nullable=False),
    Column("binding", Id, ForeignKey("binding.id")),  # null: the mailbox was tried out
    Column("session", BigInteger, nullable=False),  # drawn; a long session has several rows
    Column("began_at", Time, nullable=False),
    Column("ended_at", Time, nullable=False, index=True),
    Column("times", Integer, nullable=False),  # how many sessions were like this one, and found nothing
    Column("commands", Integer, nullable=False),
    Column("lines", LargeBinary, nullable=False),  # JSON of the commands, compressed; secrets masked
    Column("archived", Integer, nullable=False),
    Column("moved", Integer, nullable=False),
    Index(None, "mailbox", "id"),
)

# --- mail -----------------------------------------------------------------------------------------------------

pack = Table(
    "pack",
    metadata,
    Column("id", Id, primary_key=True),
    Column("created_at", Time, nullable=False),
    Column("sealed", BigInteger, nullable=False, default=0),  # bytes from its beginning that seals answer for
)

blob = Table(
    "blob",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # pack << 32 | number within the pack
    Column("hash", LargeBinary(32)),  # keyed; null where bytes cannot come twice
    Column("size", BigInteger, nullable=False),  # bytes as given
    Column("stored", BigInteger, nullable=False),  # bytes in the pack
    Column("position", BigInteger, nullable=False),  # of the record within the pack
    UniqueConstraint("hash"),
)

conversation = Table(
    "conversation",
    metadata,
    Column("id", Id, primary_key=True),
    Column("created_at", Time, nullable=False),
)

# Every Message-ID that a conversation contains or refers to; one without a message is a ghost.
thread = Table(
    "thread",
    metadata,
    Column("reference", LargeBinary(16), primary_key=True),  # hash of the Message-ID, whatever its length
    Column("conversation", Id, ForeignKey("conversation.id"), nullable=False),
    Column("message", Id),  # the first that carried it; null: a ghost
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("content_key", LargeBinary(32), nullable=False, unique=True),
    Column("identity", Integer, nullable=False),  # version of the rule that made the content key
    Column("blob", Id, ForeignKey("blob.id"), nullable=False),  # the skeleton: transport headers and leaves cut out
    Column("size", BigInteger, nullable=False),  # of the first copy, bytes
    Column("conversation", Id, ForeignKey("conversation.id"), nullable=False, index=True),
    # Why it is in that conversation: first, parent, ghost, repeated, token, split, report.
    Column("joined_by", String(16), nullable=False),
    Column("parent", LargeBinary(16)),  # the parent it claims (hash of a Message-ID), whoever that is
    Column("message_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("from_name", Text, nullable=False),
    Column("from_address", Text, nullable=False),
    Column("recipients", Text, nullable=False),  # JSON: {"to": [[name, address], …], "cc": …, "reply_to": …}
    Column("date", Time),  # what the Date header claims, UTC ms
    Column("arrived_at", Time, nullable=False),  # first arrival; the id's seconds
    Column("snippet", Text, nullable=False),
    Column("attachments", Integer, nullable=False),  # how many
    Column("problems", Text),  # JSON list of sentences
    Column("reader", Integer, nullable=False),  # version of the reader; 0: could not be read
    Column("second_reader", Integer),  # version; null: not read a second time yet
    Column("ambiguous", Text),  # JSON list: what the two readers disagree about
    Column("second_reading", Text),  # JSON: Received hops and defects
    # Small next to the table, and it empties: what the second reader has still to read.
    Index(
        "ix_message_unread_twice",
        "id",
        sqlite_where=text("second_reader IS NULL"),
        postgresql_where=text("second_reader IS NULL"),
    ),
)

# A message that names a conversation it was not let into; somebody may say that it belongs there.
stray = Table(
    "stray",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True, autoincrement=False),
    Column("near", Id, ForeignKey("message.id"), nullable=False, index=True),  # the message it names
    Column("reason", String(16), nullable=False),  # of `archive.post.taking_part`
    Column("at", Time, nullable=False),
    Column("ended_at", Time),
    Column("ended_by", String(32)),  # user:3
    Column("joined", Boolean),  # somebody put it there; null: dismissed, or nobody has said anything
    sqlite_with_rowid=False,
)

# What was cut out of a message's content: each distinct one is a blob kept once (`archive.mail.cutting`).
leaf = Table(
    "leaf",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True),
    Column("start", BigInteger, primary_key=True),  # in the content
    Column("end", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),  # characters a line
    Column("crlf", Boolean, nullable=False),  # its lines end in CRLF, or else in LF
    Column("blob", Id, ForeignKey("blob.id"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

attachment = Table(
    "attachment",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True),
    # Of the leaf: "2.1". SQLite looks at no length, PostgreSQL does, and parts may lie deep in each other.
    Column("path", String(64).with_variant(Text(), "postgresql"), primary_key=True),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    sqlite_with_rowid=False,
)

# Where imported mail came from: a file, a folder, or a binding of another archive that an export tells of.
source = Table(
    "source",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),  # mbox, mboxrd, maildir, folder, binding
    Column("name", Text, nullable=False),  # the path; of a binding, its name there
    Column("scope", String(32), nullable=False),  # whom its mail was imported for
    Column("created_at", Time, nullable=False),
    UniqueConstraint("kind", "name", "scope"),
)

# From a binding, with UIDVALIDITY and UID; or from a source, with the place in it.
receipt = Table(
    "receipt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message", Id, ForeignKey("message.id"), nullable=False, index=True),
    Column("binding", Id, ForeignKey("binding.id")),
    Column("uidvalidity", BigInteger),
    Column("uid", BigInteger),
    Column("source", Id, ForeignKey("source.id")),
    Column("place", Text),  # an mbox's offset, a file's path, UIDVALIDITY/UID of a binding
    Column("scope", String(32), nullable=False),  # whom this copy came to; nobody else sees its transport headers
    Column("sha256", LargeBinary(32), nullable=False),  # of the copy's raw bytes
    Column("size", BigInteger, nullable=False),
    Column("trace", Id, ForeignKey("blob.id"), nullable=False),  # this copy's own transport headers and their places
    Column("received_at", Time, nullable=False),  # INTERNALDATE
    Column("taken_at", Time, nullable=False),
    Column("settled_at", Time),
    Column("settlement", String(16)),  # moved, left, taken away, new generation, imported, sent
    UniqueConstraint("binding", "uidvalidity", "uid"),
    # With the hash: a file that was changed has other mail in the same place.
    Index(
        "uq_receipt_source_place_sha256",
        "source",
        "place",
        "sha256",
        unique=True,
        sqlite_where=text("source IS NOT NULL"),
        postgresql_where=text("source IS NOT NULL"),
    ),
    Index(
        "ix_receipt_unsettled",
        "binding",
        sqlite_where=text("settled_at IS NULL"),
        postgresql_where=text("settled_at IS NULL"),
    ),
)

# Mail that could be fetched but not recorded: its bytes are safe, its original stays in the watched folder.
quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Id, primary_key=True),
    Column("binding", Id, ForeignKey("binding.id"), nullable=False),
    Column("uidvalidity", BigInteger, nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("blob", Id, ForeignKey("blob.id"), nullable=False),  # the whole raw mail
    Column("sha256", LargeBinary(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("received_at", Time, nullable=False),
    Column("reason", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("first_at", Time, nullable=False),
    Column("last_at", Time, nullable=False),
    Column("again", Boolean, nullable=False, default=False),  # somebody pressed its button
    Column("resolved_at", Time),
    UniqueConstraint("binding", "uidvalidity", "uid"),
)

# Mail in a watched folder that is not taken, and why: flagged \Deleted by a person, or the server does not give it.
left_alone = Table(
    "left_alone",
    metadata,
    Column("binding", Id, ForeignKey("binding.id"), primary_key=True),
    Column("uidvalidity", BigInteger, primary_key=True),
    Column("uid", BigInteger, primary_key=True),
    Column("outcome", String(16), nullable=False),  # left, or waiting: tried again by the next pass
    Column("reason", Text, nullable=False),
    Column("seen_at", Time, nullable=False),
)

# Mail that was seen in a watched folder and was there no more before it could be taken.
gone = Table(
    "gone",
    metadata,
    Column("binding", Id, ForeignKey("binding.id"), primary_key=True),
    Column("uidvalidity", BigInteger, primary_key=True),
    Column("uid", BigInteger, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Time, nullable=False),  # when that was noticed
)

# --- who may see, who works on it -------------------------------------------------------------------------------

delivery = Table(
    "delivery",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True),
    Column("scope", String(32), primary_key=True),  # process:7, user:3
    Column("receipt", Id, ForeignKey("receipt.id"), nullable=False),
    Column("at", Time, nullable=False),
    # It was there before: whoever sends or notifies leaves it alone. Null: it came in the ordinary way.
    Column("import_mode", Boolean),
    # Why it is there. Null: whom the binding is for.
    Column("reason", String(16)),  # address, unrouted, rule, handed over, case, sent
    Column("address", String(320)),  # the address that counted
    Column("rule", Id),
    Column("hand_over", Id),
    sqlite_with_rowid=False,
)

message_scope = Table(
    "message_scope",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True),
    Column("scope", String(32), primary_key=True),
    sqlite_with_rowid=False,
)

ticket = Table(
    "ticket",
    metadata,
    Column("id", Id, primary_key=True),
    Column("scope", String(32), nullable=False),  # the process's; of a private mailbox, the owner's
    Column("conversation", Id, ForeignKey("conversation.id"), nullable=False, index=True),
    Column("state", String(16), nullable=False, default="open"),
    Column("assignee", Id, ForeignKey("user.id")),
    Column("created_at", Time, nullable=False),
    Column("last_at", Time, nullable=False),  # last activity; lists go by it
    # What a list shows, all of it from messages this scope may see.
    Column("last_message", Id, ForeignKey("message.id"), nullable=False),
    Column("messages", Integer, nullable=False),
    Column("subject", Text, nullable=False),
    Column("people", Text, nullable=False),
    Column("snippet", Text, nullable=False),
    Column("attachments", Integer, nullable=False),
    # Null says: as it came.
    Column("revision", Integer),  # goes up with each change a person or a rule makes
    Column("priority", Integer),  # -1 low, 1 high, 2 urgent; null: normal
    Column("due_at", Time),
    Column("waiting_until", Time),  # state waiting: until then, if there is a date
    Column("waiting_answer", Boolean),  # state waiting: or until somebody outside writes
    Column("done_at", Time),
    Column("done_by", String(32)),  # user:3, rule:5
    Column("spam", Boolean),
    Column("restriction", Id),  # only those see it whom the restriction names
    Column("merged_into", Id),  # another ticket of this scope
    Column("comments", Integer),
    Column("incoming_at", Time),  # when somebody outside last wrote
    Column("answered_at", Time),  # when we last wrote to somebody outside
    Column("answered_by", Id),  # a user; null: not known
    Column("answered_from", String(320)),  # the address
    Column("first_answer_at", Time),
    UniqueConstraint("scope", "conversation"),
    Index(None, "scope", "last_at", "id"),
    # What is to be done is little beside what was done.
    Index(
        "ix_ticket_not_done",
        "scope",
        "state",
        "last_at",
        "id",
        sqlite_where=text("state <> 'done'"),
        postgresql_where=text("state <> 'done'"),
    ),
    Index(
        "ix_ticket_assigned",
        "assignee",
        "state",
        "last_at",
        "id",
        sqlite_where=text("assignee IS NOT NULL"),
        postgresql_where=text("assignee IS NOT NULL"),
    ),
    # What was done in a week; nothing that arrives pays for it.
    Index(
        "ix_ticket_done_at",
        "scope",
        "done_at",
        sqlite_where=text("done_at IS NOT NULL"),
        postgresql_where=text("done_at IS NOT NULL"),
    ),
    Index(
        "ix_ticket_restriction",
        "restriction",
        sqlite_where=text("restriction IS NOT NULL"),
        postgresql_where=text("restriction IS NOT NULL"),
    ),
    Index(
        "ix_ticket_merged_into",
        "merged_into",
        sqlite_where=text("merged_into IS NOT NULL"),
        postgresql_where=text("merged_into IS NOT NULL"),
    ),
    # What comes back by itself.
    Index(
        "ix_ticket_waiting_until",
        "waiting_until",
        sqlite_where=text("waiting_until IS NOT NULL"),
        postgresql_where=text("waiting_until IS NOT NULL"),
    ),
)

seen = Table(
    "seen",
    metadata,
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("ticket", Id, ForeignKey("ticket.id"), primary_key=True),
    Column("at", Time, nullable=False),  # everything up to here has been read
    sqlite_with_rowid=False,
)

# What people say to each other about a ticket. A kind of its own: it is never part of a mail or of a quote.
comment = Table(
    "comment",
    metadata,
    Column("id", Id, primary_key=True),
    Column("ticket", Id, nullable=False, index=True),
    Column("author", Id, ForeignKey("user.id"), nullable=False),
    Column("at", Time, nullable=False),
    Column("text", Text, nullable=False),
    Column("mentions", Text),  # JSON: ids of users
    Column("edited_at", Time),
    Column("removed_at", Time),  # the text is empty since then
)

# Whom comments name, as it follows from them: what leads somebody to the few tickets where that is so.
mention = Table(
    "mention",
    metadata,
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("ticket", Id, primary_key=True, index=True),
    sqlite_with_rowid=False,
)

watcher = Table(
    "watcher",
    metadata,
    Column("ticket", Id, primary_key=True),
    Column("user", Id, ForeignKey("user.id"), primary_key=True, index=True),
    Column("since", Time, nullable=False),
    sqlite_with_rowid=False,
)

tag = Table(
    "tag",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False),
    Column("folded", String(64), nullable=False, unique=True),  # as search folds words
    Column("created_at", Time, nullable=False),
)

ticket_tag = Table(
    "ticket_tag",
    metadata,
    Column("ticket", Id, primary_key=True),
    Column("tag", Id, ForeignKey("tag.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# Somebody's own: the ticket is out of the way until then, for this person alone.
snooze = Table(
    "snooze",
    metadata,
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("ticket", Id, primary_key=True),
    Column("until", Time, nullable=False, index=True),
    Column("at", Time, nullable=False),  # what comes to the ticket after that brings it back
    sqlite_with_rowid=False,
)

reminder = Table(
    "reminder",
    metadata,
    Column("id", Id, primary_key=True),
    Column("ticket", Id, nullable=False, index=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    Column("at", Time, nullable=False, index=True),
    Column("unless_answered", Boolean, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("ended_at", Time),  # told, or not needed any more
    Column("ended", String(16)),  # told, answered, withdrawn
)

# Who is looking at a ticket, or writing there. True of the moment.
presence = Table(
    "presence",
    metadata,
    Column("ticket", Id, primary_key=True),
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("at", Time, nullable=False),
    Column("writing_at", Time),
    sqlite_with_rowid=False,
)

# What somebody has typed and not said yet; nobody else's business. A mail that is no answer has minus its number where
# others have their ticket, here and in `draft_file`.
draft = Table(
    "draft",
    metadata,
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("ticket", Id, primary_key=True),
    Column("kind", String(16), primary_key=True),  # `archive.work.drafts`
    Column("text", Text, nullable=False),
    Column("at", Time, nullable=False),
    sqlite_with_rowid=False,
)

absence = Table(
    "absence",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False, index=True),
    Column("begins_at", Time, nullable=False),
    Column("ends_at", Time, nullable=False, index=True),
    Column("substitute", Id, ForeignKey("user.id")),
    Column("note", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("withdrawn_at", Time),
)

# Mail handed on by a person, to a person, a process or a case; it can be pulled back.
hand_over = Table(
    "hand_over",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation", Id, nullable=False, index=True),
    Column("from_scope", String(32), nullable=False),
    Column("to_scope", String(32), nullable=False),
    Column("by", Id, ForeignKey("user.id"), nullable=False),
    Column("at", Time, nullable=False),
    Column("note", Text, nullable=False),
    Column("withdrawn_at", Time),
    Column("withdrawn_by", Id, ForeignKey("user.id")),
    Index(None, "to_scope", "at"),
)

# What was handed over, also of it what the other had already.
hand_over_message = Table(
    "hand_over_message",
    metadata,
    Column("hand_over", Id, ForeignKey("hand_over.id"), primary_key=True),
    Column("message", Id, ForeignKey("message.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# A conversation or case that only those see who are named: its mail has the scope restricted:ID and no other.
restriction = Table(
    "restriction",
    metadata,
    Column("id", Id, primary_key=True),
    Column("conversation", Id, index=True),
    Column("case", Id, index=True),
    Column("reason", Text, nullable=False),
    Column("by", Id, ForeignKey("user.id"), nullable=False),
    Column("at", Time, nullable=False),
    Column("ended_at", Time),
)

restriction_member = Table(
    "restriction_member",
    metadata,
    Column("restriction", Id, ForeignKey("restriction.id"), primary_key=True),
    Column("user", Id, ForeignKey("user.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# The scopes that mail under a restriction had before, and gets back.
restriction_scope = Table(
    "restriction_scope",
    metadata,
    Column("restriction", Id, ForeignKey("restriction.id"), primary_key=True),
    Column("message", Id, ForeignKey("message.id"), primary_key=True),
    Column("scope", String(32), primary_key=True),
    sqlite_with_rowid=False,
)

# That a mail was answered: by ours, or by one that was found in a Sent folder.
answer = Table(
    "answer",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True),  # the one that was answered
    Column("by_message", Id, primary_key=True),
    Column("at", Time, nullable=False),
    Column("user", Id, ForeignKey("user.id")),  # null: not known
    Column("name", Text, nullable=False),  # as the answer's From says
    Column("address", String(320), nullable=False),
    sqlite_with_rowid=False,
)

# --- rules ----------------------------------------------------------------------------------------------------

rule = Table(
    "rule",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("any_of", Boolean, nullable=False),  # or all of its conditions
    Column("conditions", Text, nullable=False),  # JSON (`archive.work.rules`)
    Column("actions", Text, nullable=False),  # JSON
    Column("stop", Boolean, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("changed_at", Time, nullable=False),
    Column("removed_at", Time),
    Column("trouble", Text),  # why it could not be asked of a mail; null: it could, or nobody tried since its change
)

# How many mails each rule matched on each day, for people to see.
rule_count = Table(
    "rule_count",
    metadata,
    Column("rule", Id, ForeignKey("rule.id"), primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),  # since 1970, UTC
    Column("mails", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The bindings a rule is for; none: it is for all of the organisation's.
rule_binding = Table(
    "rule_binding",
    metadata,
    Column("rule", Id, ForeignKey("rule.id"), primary_key=True),
    Column("binding", Id, ForeignKey("binding.id"), primary_key=True),
    sqlite_with_rowid=False,
)

# --- cases ----------------------------------------------------------------------------------------------------

case = Table(
    "case",
    metadata,
    Column("id", Id, primary_key=True),
    Column("reference", String(64), nullable=False),
    Column("folded", String(64), nullable=False, unique=True),  # as a subject is searched for it
    Column("title", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("state", String(16), nullable=False),  # open, closed
    Column("created_at", Time, nullable=False),
    Column("created_by", String(32), nullable=False),
    Column("last_at", Time, nullable=False, index=True),
    Column("closed_at", Time),
    Column("restriction", Id),
    Column("words", Text),  # of reference, title and client, folded: the list of cases is searched in it
)

case_participant = Table(
    "case_participant",
    metadata,
    Column("case", Id, ForeignKey("case.id"), primary_key=True),
    Column("scope", String(32), primary_key=True, index=True),  # user:3, process:7
    Column("since", Time, nullable=False),
    sqlite_with_rowid=False,
)

case_item = Table(
    "case_item",
    metadata,
    Column("case", Id, ForeignKey("case.id"), primary_key=True),
    Column("kind", String(16), primary_key=True),  # ticket, message, attachment
    Column("item", String(96), primary_key=True),
    Column("at", Time, nullable=False),
    Column("by", String(32), nullable=False),  # user:3, rule:5, subject
    Index(None, "kind", "item"),
    sqlite_with_rowid=False,
)

# --- sending --------------------------------------------------------------------------------------------------

# An address of ours that mail goes out from: whose it is, through which mailbox, and where its copies are kept.
identity = Table(
    "identity",
    metadata,
    Column("id", Id, primary_key=True),
    Column("address", String(320), nullable=False, unique=True),  # folded to lower case
    Column("name", Text, nullable=False),  # as recipients see it
    Column("signature", Text),
    Column("mailbox", Id, ForeignKey("mailbox.id"), nullable=False),
    Column("sent_folder", Text),  # null: no copy is put anywhere
    Column("process", Id, ForeignKey("process.id")),  # whoever sends for it; or else
    Column("user", Id, ForeignKey("user.id")),  # this person's own
    Column("languages", Text),  # JSON list; null: any
    Column("created_at", Time, nullable=False),
    Column("removed_at", Time),
    Column("tags", Boolean),  # Reply-To has a tag by which the conversation is known
    Column("canary_every", BigInteger),  # ms between test mails; null: only where somebody asks for one
)

# Who else may send from an address, person by person.
identity_right = Table(
    "identity_right",
    metadata,
    Column("identity", Id, ForeignKey("identity.id"), primary_key=True),
    Column("user", Id, ForeignKey("user.id"), primary_key=True, index=True),
    Column("since", Time, nullable=False),
    sqlite_with_rowid=False,
)

# Mails of ours: bytes and Message-ID are fixed when they are queued (`archive.outgoing.outbox`).
outgoing = Table(
    "outgoing",
    metadata,
    Column("id", Id, primary_key=True),
    Column("identity", Id, ForeignKey("identity.id"), nullable=False),
    Column("author", String(32), nullable=False),  # user:3, operator
    Column("scope", String(32), nullable=False),  # whose it is, before it is a message and afterwards
    Column("kind", String(16), nullable=False),  # new, reply, forward
    Column("answers", Id, ForeignKey("message.id"), index=True),  # what is answered or forwarded
    Column("conversation", Id, index=True),  # of that, as it was then
    Column("message_id", String(320), nullable=False, unique=True),
    Column("sender", String(320), nullable=False),  # the envelope's
    Column("subject", Text, nullable=False),
    Column("blob", Id, ForeignKey("blob.id"), nullable=False),  # the whole mail
    Column("sha256", LargeBinary(32), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("written", Text, nullable=False),  # JSON: what was typed, to go on with it
    Column("queued_at", Time, nullable=False),
    Column("not_before", Time, nullable=False),
    Column("unless_answered", Boolean),  # not sent any more when they write first
    Column("state", String(16), nullable=False),  # queued, deferred, sent, failed, cancelled
    Column("ended_at", Time),
    Column("message", Id),  # what it became in the archive
    Column("automatic", Boolean),  # nobody wrote it: a null return path
    Column("looked_at_by", String(32)),  # who let it go, or gave it back to its author
    Column("note", Text),  # with what words it was given back
    # Where it is on its way.
    Column("next_at", Time),  # null: nothing is left to do
    Column("began_at", Time),  # somebody may have got it since then
    Column("tries", Integer, nullable=False),
    Column("claimed_until", Time),
    Column("claim", LargeBinary(16)),  # drawn by whoever sends it now
    Column("trouble_kind", String(32)),  # of `archive.post.troubles`: what keeps it from being tried at all
    Column("trouble_values", Text),
    Column("sent_copy", String(16)),  # in the Sent folder: waiting, there, given up; null: none is wanted
    Column("copy_at", Time),  # when that is tried next
    Column("copy_tries", Integer),
    Column("file_at", Time),  # when it is to become a message, for somebody has it by now
    Index("ix_outgoing_file", "file_at", sqlite_where=text("file_at IS NOT NULL"),
          postgresql_where=text("file_at IS NOT NULL")),
    Index("ix_outgoing_next", "next_at", sqlite_where=text("next_at IS NOT NULL"),
          postgresql_where=text("next_at IS NOT NULL")),
    Index("ix_outgoing_copy", "copy_at", sqlite_where=text("copy_at IS NOT NULL"),
          postgresql_where=text("copy_at IS NOT NULL")),
    Index(None, "scope", "id"),
)  # fmt: skip

outgoing_recipient = Table(
    "outgoing_recipient",
    metadata,
    Column("outgoing", Id, ForeignKey("outgoing.id"), primary_key=True),
    Column("address", String(320), primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", String(8), nullable=False),  # to, cc, bcc
    Column("state", String(16), nullable=False),  # queued, deferred, sent, failed
    Column("code", Integer),  # as the server answered last
    Column("answer", Text),
    Column("at", Time),
    # What was reported after a server had taken it (`archive.outgoing.returns`).
    Column("returned", String(16)),  # failed, delayed, delivered, complained, away
    Column("returned_at", Time),
    Column("returned_says", Text),
    Column("returned_by", Id),  # the message that says so
    Index(None, "address"),
    sqlite_with_rowid=False,
)

# Texts of a process that people begin with, or that go out by themselves; one text for each language.
template = Table(
    "template",
    metadata,
    Column("id", Id, primary_key=True),
    Column("process", Id, ForeignKey("process.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("removed_at", Time),
)

template_text = Table(
    "template_text",
    metadata,
    Column("template", Id, ForeignKey("template.id"), primary_key=True),
    Column("language", String(16), primary_key=True),
    Column("subject", Text),  # of a mail that goes out by itself
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

# How a person signs mail from an address; without one as the address does.
identity_signature = Table(
    "identity_signature",
    metadata,
    Column("identity", Id, ForeignKey("identity.id"), primary_key=True),
    Column("user", Id, ForeignKey("user.id"), primary_key=True),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What rules say of mail of ours that answers a ticket: from, signature, and headers by their names.
reply_setting = Table(
    "reply_setting",
    metadata,
    Column("ticket", Id, ForeignKey("ticket.id"), primary_key=True),
    Column("name", String(80), primary_key=True),
    Column("value", Text, nullable=False),
    Column("rule", Id, nullable=False),
    sqlite_with_rowid=False,
)

# Mails that a rule wants answered by itself, and what became of that (`archive.outgoing.auto_replies`).
auto_reply = Table(
    "auto_reply",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message", Id, ForeignKey("message.id"), nullable=False),
    Column("rule", Id, nullable=False),
    Column("template", Id, ForeignKey("template.id"), nullable=False),
    Column("scope", String(32), nullable=False),
    Column("binding", Id),  # through which it came
    Column("sender", String(320), nullable=False),  # folded; who is answered
    Column("at", Time, nullable=False),
    Column("state", String(16), nullable=False),  # due, queued, refused, stopped
    Column("reason", String(32)),
    Column("ended_at", Time),
    Column("outgoing", Id),
    UniqueConstraint("message", "scope"),
    Index("ix_auto_reply_due", "id", sqlite_where=text("state = 'due'"), postgresql_where=text("state = 'due'")),
    Index(None, "sender", "at"),
    Index(None, "ended_at"),
)

# Where mail that goes out by itself was too much: it stopped, and waits for somebody.
brake = Table(
    "brake",
    metadata,
    Column("id", Id, primary_key=True),
    Column("kind", String(16), nullable=False),  # correspondent, conversation, binding, installation
    Column("subject", String(320), nullable=False),
    Column("stopped_at", Time, nullable=False),
    Column("evidence", Text, nullable=False),  # JSON: the numbers of what was sent
    Column("released_at", Time),
    Column("released_by", String(32)),
    Index(None, "kind", "subject"),
)

# Files that belong to a draft of an answer.
draft_file = Table(
    "draft_file",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user", Id, ForeignKey("user.id"), nullable=False),
    Column("ticket", Id, nullable=False),
    Column("name", Text, nullable=False),
    Column("content_type", String(128), nullable=False),
    Column("blob", Id, ForeignKey("blob.id"), nullable=False),
    Column("at", Time, nullable=False),
    Index(None, "ticket", "user"),
)

# Originals of answered mails that are to be marked so on their server.
answered_mark = Table(
    "answered_mark",
    metadata,
    Column("receipt", Id, ForeignKey("receipt.id"), primary_key=True, autoincrement=False),
    Column("since", Time, nullable=False),
    Column("next_at", Time),  # null: nothing is left to do
    Column("tries", Integer, nullable=False),
    Column("outcome", String(16)),  # marked, gone, not kept, given up
    Index("ix_answered_mark_next", "next_at", sqlite_where=text("next_at IS NOT NULL"),
          postgresql_where=text("next_at IS NOT NULL")),
)  # fmt: skip

# Test mails of an address to itself (`archive.outgoing.canaries`).
_CANARY_OPEN = "arrived_at IS NULL AND failed_at IS NULL AND taken_at IS NULL"
canary = Table(
    "canary",
    metadata,
    Column("id", Id, primary_key=True),
    Column("identity", Id, ForeignKey("identity.id"), nullable=False),
    Column("message_id", String(320), nullable=False, unique=True),  # with its brackets
    Column("asked_at", Time, nullable=False),
    Column("asked_by", String(32), nullable=False),  # as events name who asks; schedule
    Column("tries", Integer, nullable=False),  # so many times it may have been given to a server
    Column("sent_at", Time),  # when it was last begun to give it to a server
    Column("taken_at", Time),
    Column("code", Integer),
    Column("answer", Text),  # the server's
    Column("failed_at", Time),
    Column("trouble_kind", String(32)),  # of `archive.post.troubles`
    Column("trouble_values", Text),  # JSON: what stands in its sentences
    Column("late_at", Time),  # when it was said that it has not arrived
    Column("arrived_at", Time),  # when it was taken in
    Column("binding", Id),  # through which
    Column("message", Id),  # as which
    Column("came_from", String(320)),  # as its From says by then
    Column("rewritten", Boolean),  # that is another than it was sent with
    Column("spf", String(64)),  # what the receiving server says, with commas; null: nothing
    Column("dkim", String(64)),
    Column("dmarc", String(64)),
    Index(None, "identity", "id"),
    Index("ix_canary_open", "id", sqlite_where=text(_CANARY_OPEN), postgresql_where=text(_CANARY_OPEN)),
)  # fmt: skip

# --- search -----------------------------------------------------------------------------------------------------

# How each message stands in the search index (`archive.search.index`); one that is not here is not there.
indexed = Table(
    "indexed",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),  # of what made its row in the index
    Column("marks", Text, nullable=False),  # in that row; none: it is not in the index
    Column("full", Boolean, nullable=False),  # with stems, beginnings and the text of attachments
    Column("waiting", Boolean, nullable=False),  # to be put there anew
    Index("ix_indexed_waiting", "message", sqlite_where=text("waiting"), postgresql_where=text("waiting")),
)

# The text of attachments, kept once for each distinct one: a row of the index is taken out by what it was made from.
enclosed_text = Table(
    "enclosed_text",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # keyed, of the attachment
    Column("text", LargeBinary, nullable=False),  # zstandard of UTF-8; empty: there is none, or none to be had
    Column("limited", String(16)),  # why it is not all of it, or nothing (`archive.search.limited`); null: it is all
    sqlite_with_rowid=False,
)

enclosed = Table(
    "enclosed",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True),
    Column("place", Integer, primary_key=True),  # in the order in which they stand in the mail
    Column("hash", LargeBinary(32), ForeignKey("enclosed_text.hash"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Attachments whose text is not searchable, or not all of it, for it was too much.
limited = Table(
    "limited",
    metadata,
    Column("message", Id, ForeignKey("message.id"), primary_key=True),
    Column("path", String(64).with_variant(Text(), "postgresql"), primary_key=True),  # of the leaf, as of an attachment
    Column("reason", String(16), nullable=False),
    sqlite_with_rowid=False,
)

# --- events -----------------------------------------------------------------------------------------------------

EVENTS_OF_TICKETS = "substr(event.subject, 1, 7) = 'ticket:'"
EVENTS_OF_CASES = "substr(event.subject, 1, 5) = 'case:'"

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Time, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("actor", String(32), nullable=False),  # user:3, operator, binding:2
    Column("subject", String(40), nullable=False),  # message:123
    Column("commitment", LargeBinary(32), nullable=False),  # SHA-256 of salt and details
    # The history of a ticket. Of mail there are many more events, and nobody looks for them by what they are about.
    Index(
        "ix_event_ticket",
        "subject",
        "id",
        sqlite_where=text("substr(subject, 1, 7) = 'ticket:'"),
        postgresql_where=text("substr(subject, 1, 7) = 'ticket:'"),
    ),
    # The history of a case.
    Index(
        "ix_event_case",
        "subject",
        "id",
        sqlite_where=text("substr(subject, 1, 5) = 'case:'"),
        postgresql_where=text("substr(subject, 1, 5) = 'case:'"),
    ),
    sqlite_autoincrement=True,  # an id is never given twice, or a cut-off tail would go unseen
)

event_detail = Table(
    "event_detail",
    metadata,
    Column("event", Id, ForeignKey("event.id"), primary_key=True, autoincrement=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("details", Text, nullable=False),  # JSON; may be erased while the log stays verifiable
)

# Batches of events, chained: each head depends on every event before it (`archive.events.chain`).
seal = Table(
    "seal",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # 1, 2, 3 … without gaps
    Column("at", Time, nullable=False),
    Column("events", Text, nullable=False),  # ids, as ranges: 1-500,502
    Column("last", BigInteger, nullable=False),  # the newest event sealed so far
    Column("missing", Text, nullable=False),  # ids before it that were not there and may still be committed
    Column("leaves", LargeBinary, nullable=False),  # 16 bytes for each event, then for each stretch
    Column("root", LargeBinary(32), nullable=False),
    Column("head", LargeBinary(32), nullable=False),
)

# The bytes of a pack, a stretch at a time, as they were when they were sealed: checked without any key.
stretch = Table(
    "stretch",
    metadata,
    Column("pack", Id, ForeignKey("pack.id"), primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("end", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # SHA-256
    Column("seal", Id, ForeignKey("seal.id"), nullable=False, index=True),
    sqlite_with_rowid=False,
)
