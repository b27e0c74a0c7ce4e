/* What a backup says: a stream of records, as a master sends it (API method `backup`) and as it lies, encrypted
 * (proto/backup/file.h), in a file. Pure: no I/O, no clock; memory bounded by one record.
 *
 *   record   u8 type, u8 flags, u16 0, u32 size, body        integers little-endian; body at most BACKUP_RECORD_MAX
 *   META     first: what this is a backup of (msgpack map)
 *   KEYS     the cluster's CA certificate and key, and the key that seals Secrets (msgpack map)
 *   STATE    the next piece of the store's snapshot ("RVS1...", raft-store/store/snapshot.h); any number of them
 *   END      last: counts, the state's hash, and SHA-256 of all bytes before this record (msgpack map)
 *
 * Rules by which versions live together:
 *   - unknown members of the maps are passed over, and unknown records too, unless BACKUP_MUST is set in their flags;
 *   - unknown flags make a record that must be understood;
 *   - what would make an older reader restore something wrong raises BACKUP_FORMAT, which META and the file's header
 *     bear; a reader reads every format up to its own, and names the version that made what it cannot read;
 *   - backups made by each format are kept in tests/unit/data and read by every version after it. */
#ifndef PROTO_BACKUP_BACKUP_H
#define PROTO_BACKUP_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/pki/pki.h"

#define BACKUP_FORMAT      1u
#define BACKUP_RECORD_HEAD 8u
#define BACKUP_RECORD_MAX  (1u << 20)
#define BACKUP_KINDS_MAX   256u
#define BACKUP_MUST        0x01u /* flag of a record: who does not know its type must not go on */
#define BACKUP_HASH_SIZE   32

enum backup_type { BACKUP_META = 1, BACKUP_KEYS, BACKUP_STATE, BACKUP_END };

struct backup_meta {
    unsigned format;
    char version[32]; /* of the Reeve that made it */
    char cluster[64];
    uint64_t revision;       /* of the state: everything committed up to it, nothing after */
    uint64_t term, index;    /* of the log at that place */
    uint64_t next_master_id; /* no master with this id or above had been when it was made */
    int64_t wall_ms;
    bool stale; /* taken without a quorum: newer writes may have been acknowledged */
};
struct backup_keys {
    struct str ca, ca_key;   /* PEM; borrowed. ca_key "": whoever made it without a quorum had not got it */
    const uint8_t *seal_key; /* PKI_SEAL_KEY_SIZE bytes; borrowed */
};
struct backup_end {
    uint64_t objects, ids, object_bytes;
    uint64_t state_bytes; /* of all STATE bodies */
    uint64_t hash_lo, hash_hi;
    unsigned kinds_count;
    struct backup_kind {
        char name[64];
        uint64_t count;
    } kinds[BACKUP_KINDS_MAX];
    uint8_t sha256[BACKUP_HASH_SIZE]; /* the writer fills it in */
};

/* ---- Writing: in the order of the records ---- */

struct backup_writer;
struct backup_writer *backup_writer_new(void);
void backup_writer_free(struct backup_writer *w); /* NULL is fine */
/* Each appends one record (state: as many as it takes) to out. format and version are filled in. */
void backup_write_meta(struct backup_writer *w, const struct backup_meta *meta, struct buf *out);
void backup_write_keys(struct backup_writer *w, const struct backup_keys *keys,
                       struct buf *out); /* wipe out after use */
void backup_write_state(struct backup_writer *w, const void *p, size_t n, struct buf *out);
void backup_write_end(struct backup_writer *w, struct backup_end *end, struct buf *out);

/* ---- Reading ---- */

/* Each may be NULL; a result that is not 0 ends the reading with it. Keys and state are borrowed for the call. */
struct backup_events {
    void *data;
    int (*on_meta)(void *data, const struct backup_meta *meta, struct error *err);
    int (*on_keys)(void *data, const struct backup_keys *keys, struct error *err);
    int (*on_state)(void *data, const void *p, size_t n, struct error *err);
    int (*on_end)(void *data, const struct backup_end *end, struct error *err); /* the SHA-256 fits */
};
struct backup_reader;
struct backup_reader *backup_reader_new(const struct backup_events *events);
void backup_reader_free(struct backup_reader *r); /* NULL is fine */
/* Any number of arbitrary bytes. 0; ERR_CORRUPT names the byte; ERR_UNSUPPORTED: made by a newer Reeve. After an
 * error: only free. */
int backup_reader_feed(struct backup_reader *r, const void *p, size_t n, struct error *err);
/* Nothing follows. ERR_CORRUPT if END has not come. */
int backup_reader_finish(struct backup_reader *r, struct error *err);
bool backup_reader_ended(const struct backup_reader *r);

#endif
