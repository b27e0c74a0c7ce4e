/* The state of a snapshot as a file of its own beside libraft's files.
 *
 * libraft takes a snapshot as buffers in memory: with a gigabyte of state that is a gigabyte more on the master that
 * takes it, one on the master that sends it, one on the master that gets it, and at the end one flush in whose shadow
 * the log's own small flushes wait. So the snapshot that libraft stores holds only a reference (SNAPFILE_REF_SIZE
 * bytes: name, size, hash), and the state lies in DIR/NAME.rvs, written from one end to the other by a worker thread,
 * which flushes a little at a time.
 *
 * Whoever writes while a cluster works leaves the disk alone for twice as long as each flush took: three writers at
 * full speed make a flush of 4 KiB beside them take 13 ms instead of 0.4. With a gigabyte of state that brought the
 * slowest write from 60 to 120 ms down to 35 to 45.
 *
 *   DIR/state-XXXXXXXXXXXXXXXX.part     being written
 *   DIR/state-XXXXXXXXXXXXXXXX.rvs      whole, on disk together with its name
 *
 * Order at a crash: file whole and durable, then libraft's snapshot with the reference, then the log before it goes.
 * What no snapshot of libraft's in DIR refers to is rubbish and is swept: when a store opens, and after each snapshot.
 * A snapshot without a reference (state inside, as the simulator has it and as first versions wrote it) is as good;
 * whoever reads one asks snapfile_is_ref first. Plain files, no libuv. */
#ifndef RAFT_STORE_DISK_SNAPFILE_H
#define RAFT_STORE_DISK_SNAPFILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SNAPFILE_REF_SIZE   96u
#define SNAPFILE_NAME_SIZE  32u
#define SNAPFILE_FLUSH_SIZE (1u << 20) /* written and not yet on the disk: about twice as much at most */

/* Writing: any thread, one at a time per writer. */
struct snapfile_writer;
int snapfile_create(const char *dir, struct snapfile_writer **out, struct error *err);
/* Behind what was written. */
int snapfile_write(struct snapfile_writer *w, const void *p, size_t n, struct error *err);
/* A part of a file that arrives in parts; the hash is then made when it is finished. Not together with
 * snapfile_write. */
int snapfile_write_at(struct snapfile_writer *w, uint64_t offset, const void *p, size_t n, struct error *err);
/* Makes the file durable under its final name and writes the reference to it. Frees the writer, also on error, when
 * nothing stays behind. */
int snapfile_finish(struct snapfile_writer *w, uint8_t ref[SNAPFILE_REF_SIZE], struct error *err);
void snapfile_abort(struct snapfile_writer *w); /* frees; NULL is fine */
/* All of it for a fork of a store. Worker thread. stop: others use this disk, so it rests between flushes; when
 * somebody sets *stop it gives up with ERR_CANCELED. NULL: as fast as it goes. */
struct store_fork;
int snapfile_save(const char *dir, const struct store_fork *fork, const atomic_bool *stop,
                  uint8_t ref[SNAPFILE_REF_SIZE], struct error *err);

/* Reading. */
bool snapfile_is_ref(const void *p, size_t n);
struct snapfile_map {
    const uint8_t *p;
    size_t n;
    bool mapped; /* false: borrowed from the snapshot itself */
};
/* The state of a snapshot wherever it lies: in the file that it refers to, or, with a NULL dir or without a reference,
 * in the snapshot. The latter is borrowed. Errors as of snapfile_map. snapfile_unmap ends both. */
int snapfile_open(const char *dir, const void *snapshot, size_t n, struct snapfile_map *out, struct error *err);
/* Maps the file that the reference names. ERR_CORRUPT: the reference is damaged, the file is missing or has another
 * size; its content has checks of its own (snapshot.h). */
int snapfile_map(const char *dir, const void *ref, size_t n, struct snapfile_map *out, struct error *err);
void snapfile_unmap(struct snapfile_map *m);
/* What reading a state said (rc, *err): ERR_UNSUPPORTED, a newer program's, becomes ERR_CORRUPT if the content does
 * not fit the hash in the reference. */
int snapfile_tell_damage(const void *snapshot, size_t n, const struct snapfile_map *m, int rc, struct error *err);
uint64_t snapfile_hash(const void *ref); /* XXH3-64 of the content; of a reference that snapfile_map has accepted */

/* Removes what no snapshot in dir refers to; parts of unfinished files stay, unless `parts` (at the start, when nobody
 * writes). A file whose reference is on its way into a snapshot goes as well, unless it is the spared one: whoever
 * waits for that finds it missing, which is refused and repeated. spared: a snapfile_number, which may be set while the
 * sweep runs on another thread; NULL or 0: none. */
void snapfile_sweep(const char *dir, bool parts, const atomic_uint_least64_t *spared);
uint64_t snapfile_number(const void *snapshot, size_t n); /* of the file that it refers to; 0: it refers to none */

#endif
