/* Documents with hostile values at places that tables know: for the target of whole requests. */
#ifndef TESTS_FUZZ_KIT_HOSTILE_H
#define TESTS_FUZZ_KIT_HOSTILE_H

#include "raft-store/store/store.h"
#include "tests/fuzz/fuzz.h"

/* A sound document of the kind, of a few by `choice`. */
struct value *hostile_base(struct arena *a, const struct kind *k, unsigned choice);
/* A document of the kind made from its table: with its required fields alone, or, with `whole`, with all that are
 * carried out. Its types are right; the kind's rules may refuse it. */
struct value *hostile_made(struct arena *a, const struct kind *k, bool whole);
/* One edit: a way down the schema, chosen by the input, and a value there. Names and uids of what is stored are among
 * the values, so that objects come to own each other, and themselves. */
void hostile_edit(struct fuzz_input *f, struct arena *a, const struct schema *s, struct value *doc,
                  const struct view *v);
/* A namespace and two nodes, by transactions of their own. */
void hostile_cluster(void *data, int (*submit)(void *data, const struct txn *t, struct error *err),
                     const struct env *env);

#endif
