/* What kind tables and their rules are written with: row macros, paths, findings and small rules, and where the list of
 * kinds comes from. For proto/kinds and proto/schema alone; the paths and the schema of metadata also for who reads
 * bodies by the tables (proto/protobuf).
 *
 * A schema is a list of rows in canonical order. The order decides the canonical bytes of objects, so rows may be added
 * anywhere only while no store exists that holds the old order; later, append. */
#ifndef PROTO_SCHEMA_TABLE_H
#define PROTO_SCHEMA_TABLE_H

#include "base/mem.h"
#include "proto/schema/kind.h"

/* All kinds, in the order of their ids, and the rows of metadata that all of them share: proto/kinds. */
extern const struct kind *const kinds_list[];
extern const unsigned kinds_list_count;
extern const struct schema schema_object_meta;
/* Requests: proto/kinds/requests.c. */
extern const struct kind *const requests_list[];
extern const unsigned requests_list_count;

/* ---- Rows ---- */

#define ROW(n, t, d, ...)                                                                                              \
    {                                                                                                                  \
        .name = (n), .type = (t), .doc = (d), ##__VA_ARGS__                                                            \
    }
#define STRING(n, d, ...)        ROW(n, FIELD_STRING, d, ##__VA_ARGS__)
#define INT32(n, d, ...)         ROW(n, FIELD_INT32, d, ##__VA_ARGS__)
#define INT64(n, d, ...)         ROW(n, FIELD_INT64, d, ##__VA_ARGS__)
#define BOOLEAN(n, d, ...)       ROW(n, FIELD_BOOL, d, ##__VA_ARGS__)
#define TIME(n, d, ...)          ROW(n, FIELD_TIME, d, ##__VA_ARGS__)
#define QUANTITY(n, d, ...)      ROW(n, FIELD_QUANTITY, d, ##__VA_ARGS__)
#define INT_OR_STRING(n, d, ...) ROW(n, FIELD_INT_OR_STRING, d, ##__VA_ARGS__)
#define ANY(n, d, ...)           ROW(n, FIELD_ANY, d, ##__VA_ARGS__)
#define OBJECT(n, s, d, ...)     ROW(n, FIELD_OBJECT, d, .sub = &(s), ##__VA_ARGS__)
#define OBJECTS(n, s, d, ...)    ROW(n, FIELD_OBJECT, d, .sub = &(s), .shape = SHAPE_LIST, ##__VA_ARGS__)
#define STRINGS(n, d, ...)       ROW(n, FIELD_STRING, d, .shape = SHAPE_LIST, ##__VA_ARGS__)
#define INTS(n, d, ...)          ROW(n, FIELD_INT64, d, .shape = SHAPE_LIST, ##__VA_ARGS__)
#define STRING_MAP(n, d, ...)    ROW(n, FIELD_STRING, d, .shape = SHAPE_MAP, ##__VA_ARGS__)
#define QUANTITY_MAP(n, d, ...)  ROW(n, FIELD_QUANTITY, d, .shape = SHAPE_MAP, ##__VA_ARGS__)
#define BYTES_MAP(n, d, ...)     ROW(n, FIELD_BYTES, d, .shape = SHAPE_MAP, ##__VA_ARGS__)
#define REQUIRED                 .flags = FIELD_REQUIRED
#define READONLY                 .flags = FIELD_READONLY
#define ZERO                     .flags = FIELD_ZERO
#define KEY                      .flags = FIELD_KEY
#define MICRO                    .flags = FIELD_MICRO
#define REQUIRED_KEY             .flags = FIELD_REQUIRED | FIELD_KEY
#define MERGE(key)               .merge_key = (key)
#define ONE_OF(list)             .one_of = (list)
#define DEFAULT(text)            .fallback = (text)
/* State of a row: change WARNED or REFUSED into DONE when the field begins to work; the rest may stay. */
#define WARNED(why)     .state = FIELD_WARNED, .undone = (why)
#define REFUSED(why)    .state = FIELD_REFUSED, .undone = (why)
#define DONE(why)       .state = FIELD_DONE, .undone = NULL
#define QUIET(list)     .quiet = (list)
#define BESIDE(sibling) .beside = (sibling)
#define ONLY_KEYS(list) .keys = (list)
#define SINCE(level)    .since = (level)
/* Where Kubernetes' protobuf message has the row: struct field. */
#define NUMBER(n) .number = (n)
#define INSIDE(n) .inside = (n)
#define NO_NUMBER .number = FIELD_NO_NUMBER

/* SCHEMA(var, "Name", "doc", rows...) defines var; SCHEMA_STATIC for those of one file only. */
#define SCHEMA(var, title, text, ...)                                                                                  \
    static const struct field var##_fields[] = {__VA_ARGS__};                                                          \
    const struct schema var = {title, var##_fields, ARRAY_SIZE(var##_fields), text}
#define SCHEMA_STATIC(var, title, text, ...)                                                                           \
    static const struct field var##_fields[] = {__VA_ARGS__};                                                          \
    static const struct schema var = {title, var##_fields, ARRAY_SIZE(var##_fields), text}

/* The first three rows of every kind. */
#define TYPE_META                                                                                                      \
    STRING("apiVersion", "Group and version of the API that the document is written in.", NO_NUMBER),                  \
        STRING("kind", "What the document describes.", NO_NUMBER), OBJECT("metadata", schema_object_meta, META_DOC)
#define META_DOC "Name, labels and bookkeeping that every object has."

/* ---- Paths: built on the stack on the way down, written out only when something is wrong ---- */

struct fpath {
    const struct fpath *up;
    struct str name; /* a member; or, with is_key, a free key printed as [key] */
    bool is_key;
    bool is_index;
    unsigned index;
};
#define FPATH(text)       (&(const struct fpath){.up = NULL, .name = {(text), strlen(text)}})
#define FPATH_AT(p, text) (&(const struct fpath){.up = (p), .name = {(text), strlen(text)}})
#define FPATH_STR(p, s)   (&(const struct fpath){.up = (p), .name = (s)})
#define FPATH_KEY(p, s)   (&(const struct fpath){.up = (p), .name = (s), .is_key = true})
#define FPATH_ITEM(p, i)  (&(const struct fpath){.up = (p), .is_index = true, .index = (i)})
/* "spec.containers[0].name", in the arena. NULL path gives "". */
const char *fpath_text(struct arena *a, const struct fpath *p);

/* ---- Findings, in the words that Kubernetes uses ---- */

void bad_required(struct errlist *l, const struct value *where, const struct fpath *p);
/* `Required value: why`. */
void bad_missing(struct errlist *l, const struct value *where, const struct fpath *p, const char *why);
/* `Too long: must have at most MAX bytes`. */
void bad_too_long(struct errlist *l, const struct value *where, const struct fpath *p, size_t max);
/* `Invalid value: VALUE: why`. */
void bad_value(struct errlist *l, const struct value *v, const struct fpath *p, const char *why);
void bad_duplicate(struct errlist *l, const struct value *v, const struct fpath *p);
void bad_not_found(struct errlist *l, const struct value *v, const struct fpath *p);
void bad_forbidden(struct errlist *l, const struct value *where, const struct fpath *p, const char *why);
/* one_of as in the tables, "A|B|C". */
void bad_choice(struct errlist *l, const struct value *v, const struct fpath *p, const char *one_of);
/* line 0 = unknown; nearest may be NULL. */
void bad_unknown_field(struct errlist *l, unsigned line, unsigned column, const struct fpath *p, const char *nearest);
/* It is known, but of a later feature level than the cluster's. */
void bad_later_field(struct errlist *l, unsigned line, unsigned column, const struct fpath *p, unsigned since,
                     unsigned level);
bool in_choices(struct str s, const char *one_of);
/* The error made of the findings about a document; 0 if there are none. */
int kind_findings(const struct kind *k, const struct value *doc, const struct errlist *l, struct error *err);

/* The place of a key in the table (s->count: it is not in it), looked for from `hint` on: members mostly stand in the
 * table's order (schema/encode.c). */
unsigned schema_field_index(const struct schema *s, struct str key, unsigned hint);
/* As kind_equal, of maps (NULL: empty) and of one field's values (schema/equal.c). */
bool schema_equal(const struct schema *s, const struct value *a, const struct value *b);
bool field_equal(const struct field *f, const struct value *a, const struct value *b);

/* Findings for fields that are FIELD_REFUSED (schema/state.c); what old (may be NULL) has alike was accepted once. */
void kind_find_refused(const struct kind *k, const struct value *doc, const struct value *old, struct errlist *l);
/* Does the field with this value, in this map, ask for what is not carried out? */
bool field_asks(const struct field *f, const struct value *map, const struct value *v);
/* The element of the old list (may be NULL) that stands for the same thing as its element i, e: by the merge key, or
 * by its place. */
const struct value *field_old_element(const struct field *f, const struct value *old, const struct value *e,
                                      unsigned i);
/* kind_check_fields_of with the findings in l. */
void fields_check(const struct kind *k, struct value *doc, const struct value *old, unsigned flags, struct errlist *l);

/* The kind that a document names by apiVersion and kind; one of another version becomes one of the stored
 * (convert.c). NULL if there is none. */
const struct kind *convert_up(struct arena *a, struct value *doc);

/* The field whose name is nearest to an unknown one; NULL if none is near. */
const char *schema_nearest(const struct schema *s, struct str name);

#define NAME_SUBDOMAIN_WHY                                                                                             \
    "must be lower case letters, digits, '-' and '.', begin and end with a letter or digit (such as 'example.com')"
#define NAME_TOO_LONG_WHY "must be no more than 253 characters"
#define NAME_KEY_WHY                                                                                                   \
    "must be the name of an object: at most 253 printable characters without blanks, '/' and '%', and not '.' or '..'"
#define NAME_LABEL_WHY                                                                                                 \
    "must be at most 63 lower case letters, digits and '-', begin and end with a letter or digit (such as 'my-name')"
#define NAME_LABEL_KEY_WHY                                                                                             \
    "must be [prefix/]name: at most 63 letters, digits, '-', '_' and '.', begin and end with a letter or digit (such " \
    "as "                                                                                                              \
    "'example.com/my-name')"
#define NAME_CONFIG_KEY_WHY "must be 1 to 253 letters, digits, '-', '_' and '.', and not be '.' or begin with '..'"
#define NAME_PORT_WHY                                                                                                  \
    "must be at most 15 lower case letters, digits and single '-', with at least one letter (such as 'http')"
#define NAME_ENV_WHY "must be letters, digits, '_', '-' and '.', and not begin with a digit (such as 'MY_NAME')"
#define NAME_LABEL_VALUE_WHY                                                                                           \
    "must be empty or at most 63 letters, digits, '-', '_' and '.', begin and end with a letter or digit"

/* ---- Small rules, each reporting on its own ---- */

/* Present and a DNS label or subdomain. `parent` gives the line if v is missing. */
void check_dns_label(struct errlist *l, const struct value *parent, const struct value *v, const struct fpath *p);
void check_dns_subdomain(struct errlist *l, const struct value *parent, const struct value *v, const struct fpath *p);
void check_label_key(struct errlist *l, const struct value *parent, const struct value *v, const struct fpath *p);
void check_labels(struct errlist *l, const struct value *labels, const struct fpath *p);
void check_label_selector(struct errlist *l, const struct value *sel, const struct fpath *p);
/* Keys (letters of any case), and the size of all together. */
void check_annotations(struct errlist *l, const struct value *annotations, const struct fpath *p);
/* A label key; without a prefix only those that the system knows. */
void check_finalizer(struct errlist *l, const struct value *v, const struct fpath *p);
/* At least min; absent is fine. */
void check_at_least(struct errlist *l, const struct value *v, const struct fpath *p, int64_t min);
void check_range(struct errlist *l, const struct value *v, const struct fpath *p, int64_t min, int64_t max);
/* v differs from old: forbidden. */
void check_immutable(struct errlist *l, const struct value *v, const struct value *old, const struct fpath *p);
/* v, if it is there and not empty, is a DNS subdomain. */
void check_optional_name(struct errlist *l, const struct value *parent, const char *name, const struct fpath *p);
bool name_is_port(struct str s); /* IANA service name, at most 15 */
bool name_is_ip(struct str s);   /* IPv4 or IPv6 address */
/* As name_is_label_key, with letters of any case in the prefix, too. */
bool name_is_annotation_key(struct str s);
bool name_is_ipv6(struct str s); /* of an address or range that is right */
bool name_is_cidr(struct str s);

#endif
