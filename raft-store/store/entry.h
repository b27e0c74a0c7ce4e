/* Log entries: bytes to effects and back. Pure. What is read was checked by libraft's CRC and by our own checksum, and
 * is read as if a stranger had written it all the same: every length is checked, damage is ERR_CORRUPT.
 *
 * Layout (integers little-endian): "RVE1", u16 version, u16 flags, u32 payload size, u32 payload size uncompressed, u64
 * XXH3-64 of the first 16 bytes and of all behind this field up to the payload's end, 16 bytes state hash before,
 * payload, zeros up to a multiple of 8. Payload: transactions, each: flags (1 = has id, 2 = has extra, 4 = numbered),
 * revision, [id], [extra], wall time ms, count of effects; effect: type | sealed bit, kind, namespace, name, then put:
 * bytes; splice: at, removed, bytes; delete: nothing. Numbers are LEB128, strings a number and bytes. Entry version 1.
 * Internal to raft-store.
 *
 * What a newer program may write: the head stays as it is, whatever the version, so that damage can be told from news
 * (its checksum). Flags of the high byte, and `extra`, may be passed over; another version, other flags and other types
 * of effects must be understood: they are ERR_UNSUPPORTED, "written by a newer program", never damage. None is
 * written before the cluster's feature level allows it (store_set_level). */
#ifndef RAFT_STORE_STORE_ENTRY_H
#define RAFT_STORE_STORE_ENTRY_H

#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

#define ENTRY_HEAD_SIZE      40u
#define ENTRY_PAYLOAD_MAX    (64u << 20) /* uncompressed; the batch limit and the largest transaction stay far below */
#define ENTRY_COMPRESS_MIN   512u        /* smaller ones gain nothing */
#define ENTRY_FLAGS_OPTIONAL 0xff00u
#define ENTRY_EXTRA_MAX      4096u
#define ENTRY_EXTRA_OWN      "own" /* extra of a node's report on its own pods (txn.h: own_status) */

enum effect_type { EFFECT_PUT = 1, EFFECT_SPLICE = 2, EFFECT_DELETE = 3 };
struct effect {
    enum effect_type type;
    bool sealed; /* bytes = pki_seal(body) */
    unsigned kind_id;
    struct str ns, name;
    size_t at, removed; /* splice: this range of the former body ... */
    struct str bytes;   /* ... is replaced by these; put: the body */
};
struct entry_txn {
    uint64_t revision; /* its own, and of its last effect */
    /* effects have consecutive revisions; else all have the transaction's. Of one effect, or none, never set */
    bool numbered;
    bool has_id;
    const uint8_t *id; /* borrowed from the payload */
    int64_t wall_ms;
    uint64_t count;   /* effects that follow */
    struct str extra; /* what may be passed over; empty = none */
};

static inline uint64_t entry_first_revision(const struct entry_txn *t)
{
    return t->numbered ? t->revision - t->count + 1 : t->revision;
}

/* Writing: a head for each transaction, then its effects; then the whole as an entry, compressed if that pays. */
void entry_write_txn(struct buf *payload, const struct entry_txn *t);
void entry_write_effect(struct buf *payload, const struct effect *e);
/* optional: flags that may be passed over, of ENTRY_FLAGS_OPTIONAL. */
void entry_finish(struct buf *out, const struct buf *payload, struct view_hash before, unsigned optional);

/* Reading. The payload is decompressed into `payload` (or copied); what next gives borrows from it. */
int entry_open(const void *p, size_t n, struct buf *payload, struct view_hash *before, struct error *err);
/* Its head and checksum alone, without unpacking: would entry_open begin with it, or a newer program's? */
bool entry_is_sound(const void *p, size_t n);
struct entry_reader {
    const uint8_t *p, *end;
};
/* 0, ERR_CORRUPT or ERR_UNSUPPORTED; *more false at the end. */
int entry_next_txn(struct entry_reader *r, struct entry_txn *t, bool *more, struct error *err);
int entry_next_effect(struct entry_reader *r, struct effect *e, struct error *err);
/* What an entry says of its transactions, effects left out. False: it is malformed, or has none. */
struct entry_span {
    uint64_t first, last;    /* revisions */
    int64_t wall_ms;         /* of the last */
    struct view_hash before; /* of the state it was made from */
};
bool entry_read_span(const void *p, size_t n, struct entry_span *out);

/* LEB128, for the snapshot format as well. read: false if cut short or above 64 bits. */
void varint_write(struct buf *b, uint64_t v);
bool varint_read(const uint8_t **p, const uint8_t *end, uint64_t *v);
void varint_write_str(struct buf *b, struct str s);
bool varint_read_str(const uint8_t **p, const uint8_t *end, struct str *s);

/* The text that binds sealed bytes to their object: "kind/namespace/name". */
void entry_write_aad(struct buf *out, unsigned kind_id, struct str ns, struct str name);

#endif
