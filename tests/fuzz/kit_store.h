/* A store to apply things to: deterministic, with one object of most kinds. For the targets of log entries and
 * snapshots. */
#ifndef TESTS_FUZZ_KIT_STORE_H
#define TESTS_FUZZ_KIT_STORE_H

#include "raft-store/store/store.h"
#include "tests/fuzz/fuzz.h"

#define FUZZ_BASE_REVISION 6u /* of the store below: one transaction for each object */

extern const struct pki_ring fuzz_seal_keys;
/* `sealed`: with that key. The caller frees. */
struct store *fuzz_store_new(bool sealed);
/* An empty one. */
struct store *fuzz_store_empty(bool sealed);
/* The committed state as snapshot bytes. */
void fuzz_store_snapshot(struct store *s, struct buf *out);
/* Snapshot and restore lead to the same state. */
void fuzz_store_check(struct store *s, bool sealed);
/* Two views hold the same objects, byte by byte. */
void fuzz_check_same_view(const struct view *a, const struct view *b);
/* Evaluate one create on an open tip. YAML in. */
void fuzz_store_create(struct store *s, const char *yaml);

#endif
