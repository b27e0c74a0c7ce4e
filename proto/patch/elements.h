/* How elements of merged lists are told apart, and an index that finds them. For this room and for proto/managed.
 *
 * Two elements stand for the same thing if they are equal (sets), or if their merge keys are equal and their second
 * keys as well, an absent second key counting as the field's default (keyed lists: container ports have
 * containerPort and protocol). */
#ifndef PROTO_PATCH_ELEMENTS_H
#define PROTO_PATCH_ELEMENTS_H

#include "base/err.h"
#include "proto/schema/kind.h"

/* Longer lists are refused. The index makes the cost linear but for keys that are many different integers and one
 * float: those are compared each with each. */
#define PATCH_LIST_MAX 1024u

struct crumb;
/* What is merged in: ERR_INVALID if `list` is no list, is too long, or its elements lack the merge key. NULL is
 * fine. */
int elements_check(const struct field *f, const struct value *list, const struct crumb *at, struct error *err);
/* What is there already: ERR_INVALID if too long. Elements without the merge key just answer to nothing. */
int elements_check_size(const struct value *list, const struct crumb *at, struct error *err);

/* Elements in an order, found by their keys in a time that does not depend on their number: in chains by a hash of the
 * first key, and by one of both keys. Seeded, as a peer chooses the keys (base/hash.h). What is taken out leaves its
 * position empty until elements_list. Lives in the arena and borrows the elements. */
struct element;
struct chain;
struct elements {
    const struct field *f;
    struct str second_default; /* what an absent second key counts as */
    uint64_t seed;
    struct element *all;
    unsigned count, room; /* positions taken, and in all */
    unsigned mask;        /* of chains of one sort */
    struct chain *chains[2];
};
#define ELEMENTS_NONE UINT32_MAX

/* Of `list` (NULL or no list: empty), with room for `more`. */
struct elements elements_of(struct arena *a, const struct field *f, const struct value *list, unsigned more);
/* Position of the first that stands for the same thing as `like`; ELEMENTS_NONE. */
unsigned elements_find(struct elements *x, const struct value *like);
/* The same, second keys not counting. */
unsigned elements_find_first_key(struct elements *x, const struct value *like);
/* Position of what the element of a strategic patch means: the same thing; or, as Kubernetes knows the first key only,
 * the one element with this first key; or, if `probe` has no second key, the first of several. ELEMENTS_NONE. */
unsigned elements_target(struct elements *x, const struct value *probe);
/* Take out all that `probe` means, into the list `out` in their order (NULL: nowhere): the same things; or, if it has
 * no second key, all with its first. */
void elements_take(struct arena *a, struct elements *x, const struct value *probe, struct value *out);
void elements_clear(struct elements *x);
struct value *elements_at(const struct elements *x, unsigned position); /* borrowed; NULL if it was taken out */
void elements_set(struct elements *x, unsigned position, struct value *e);
void elements_append(struct elements *x, struct value *e); /* there is room */
/* What is there, as a new list. */
struct value *elements_list(struct arena *a, const struct elements *x);
/* Whether an element of a keyed list has its second key (false where there are none). */
bool element_has_second_key(const struct field *f, const struct value *e);

/* A list of `mine` and `others`, both in their own order. Of the next two, the one that stood first in `before` comes
 * first. An element of `mine` that `before` lacks goes in front of the rest of `others`; an element of `others` that it
 * lacks, behind the rest of `mine`. Source: Kubernetes' strategic merge ($setElementOrder). */
struct value *elements_weave(struct arena *a, const struct field *f, const struct value *mine,
                             const struct value *others, const struct value *before);

#endif
