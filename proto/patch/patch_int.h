/* What the patches share: which table entry stands behind a key, and how elements of lists are told apart. Not for
 * others. */
#ifndef PROTO_PATCH_PATCH_INT_H
#define PROTO_PATCH_PATCH_INT_H

#include "proto/patch/patch.h"

/* Elements of a merged list are compared each with each: this bounds the cost. Longer lists are refused. */
#define PATCH_LIST_MAX 1024u

/* A place in a document: the field that describes it, and whether the value is one element of that field (of its list
 * or map) or the field's whole value. f == NULL: nothing is known, maps merge freely and lists are atomic. */
struct place {
    const struct field *f;
    bool element;
    const struct schema *schema; /* of the map that stands here; NULL if its keys are free */
};
struct place place_root(const struct kind *k);
struct place place_child(struct place map, struct str key);
struct place place_element(struct place list);

enum list_strategy { LIST_ATOMIC, LIST_SET, LIST_KEYED };
enum list_strategy place_list_strategy(struct place p);

/* Path of the field at work, for errors: a chain on the stack. */
struct crumb {
    const struct crumb *up;
    struct str key; /* of a map; empty: index counts */
    unsigned index;
};
/* error_set_field with the path written out. */
int patch_error(struct error *err, const struct crumb *at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Do two elements of a keyed or set list stand for the same thing? In sets: equal values. In keyed lists: equal merge
 * keys, and equal second keys (absent counts as the field's default). */
bool element_same(const struct field *f, const struct value *a, const struct value *b);
/* Elements of a keyed list: equal merge keys, whatever their second ones; so are two without. */
bool element_has_key(const struct field *f, const struct value *a, const struct value *b);
/* As element_same, but a `probe` without the second key stands for any. */
bool element_answers(const struct field *f, const struct value *probe, const struct value *e);
struct value *element_find(const struct field *f, const struct value *list, const struct value *like);
/* What is merged in: ERR_INVALID if `list` is no list, is too long, or its elements lack the merge key. NULL is
 * fine. */
int elements_check(const struct field *f, const struct value *list, const struct crumb *at, struct error *err);
/* What is there already: ERR_INVALID if too long. Elements without the merge key just answer to nothing. */
int elements_check_size(const struct value *list, const struct crumb *at, struct error *err);
/* `mine` in the wanted order, with `others` between them where they stood in `before` relative to each other; who is
 * not found there comes as early as the wanted order allows. Source: Kubernetes' strategic merge ($setElementOrder). */
struct value *elements_weave(struct arena *a, const struct field *f, const struct value *mine,
                             const struct value *others, const struct value *before);

/* Deep copy without null members (a null says "not there"). */
struct value *copy_without_nulls(struct arena *a, const struct value *v);
/* A new map with the members of `map` (nodes shared). NULL or no map: empty. */
struct value *copy_members(struct arena *a, const struct value *map);

int patch_strategic(const struct kind *k, struct arena *a, const struct value *current, const struct value *patch,
                    struct value **out, struct error *err);
int patch_json(struct arena *a, const struct value *current, const struct value *patch, struct value **out,
               struct error *err);

#endif
