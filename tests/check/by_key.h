/* Operations of some functions, sorted by the key of their only step. */
#ifndef TESTS_CHECK_BY_KEY_H
#define TESTS_CHECK_BY_KEY_H

#include "tests/check/history.h"

struct key_ops {
    const char *key;
    const struct hist_op **ops; /* ordered by start */
    size_t count;
};
struct by_key {
    struct key_ops *keys; /* ordered by name */
    size_t count;
    size_t ops; /* of all keys */
    const struct hist_op **all;
};
/* functions: bits 1u << hist_f. The operations are borrowed from h. */
void by_key_init(struct by_key *b, const struct hist *h, unsigned functions);
void by_key_close(struct by_key *b);

#endif
