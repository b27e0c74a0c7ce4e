/* Raft's messages as bytes: what two masters of any version understand of each other. Pure.
 *
 * One msgpack array: [kind, version, fields...]; entries as [term, type, bin]. InstallSnapshot carries its head only:
 * the data travels in chunks (transport.h). What decode makes is allocated as libraft expects to own it: the array of
 * entries by raft_malloc, all their data in one raft_malloc()ed batch, the configuration's parts by raft_malloc.
 * Limits: RAFT_CODEC_ENTRIES_MAX entries; every length is checked against the bytes there are; entry data is a
 * multiple of 8. */
#ifndef RAFT_STORE_RAFT_RAFT_CODEC_H
#define RAFT_STORE_RAFT_RAFT_CODEC_H

#include <raft.h>

#include "base/buf.h"
#include "base/err.h"
#include "proto/model/msgpack.h"

#define RAFT_CODEC_ENTRIES_MAX  65536u
#define RAFT_CODEC_MEMBERS_MAX  64u
#define RAFT_CODEC_SNAPSHOT_MAX (1ull << 40) /* it goes to a file (snapfile.h); the disk decides */

/* Size of the encoding, roughly, before making it: for back-pressure. */
size_t raft_codec_size(const struct raft_message *m);
void raft_codec_write(struct buf *out, const struct raft_message *m);
/* server_id and server_address are left for the caller. For InstallSnapshot data.base is NULL and data.len says what
 * will come. ERR_PROTOCOL if malformed; then nothing is allocated. */
int raft_codec_read(struct mp m, struct raft_message *out, struct error *err);
/* Frees what belongs to a message that raft_codec_read has made, or one of that form, and is not delivered. */
void raft_codec_free(struct raft_message *m);

#endif
