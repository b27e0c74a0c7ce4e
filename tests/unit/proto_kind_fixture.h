/* For the tests of kinds: documents from YAML, checked, with the error at hand. */
#ifndef TESTS_UNIT_PROTO_KIND_FIXTURE_H
#define TESTS_UNIT_PROTO_KIND_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/timefmt.h"
#include "proto/schema/kind.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"

struct fixture {
    struct arena arena;
    struct error err;
};

static inline int fixture_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    arena_close(&f->arena);
    free(f);
    return 0;
}

/* The only document of a YAML text. */
static inline struct value *fixture_read(struct fixture *f, const char *yaml)
{
    struct value **docs;
    unsigned count;
    if (yaml_read(&f->arena, str_of(yaml), NULL, &docs, &count, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    assert_int_equal(count, 1);
    return docs[0];
}

/* Checks a document of its own kind; the code of kind_check, or of kind_of_document. */
static inline int fixture_check_value(struct fixture *f, struct value *doc, const struct value *old)
{
    f->err = (struct error){0};
    const struct kind *k = kind_of_document(&f->arena, doc, &f->err);
    if (k == NULL) {
        return f->err.code;
    }
    return kind_check(k, &f->arena, doc, old, old == NULL ? 0 : KIND_CHECK_UPDATE, &f->err);
}

static inline int fixture_check(struct fixture *f, const char *yaml)
{
    return fixture_check_value(f, fixture_read(f, yaml), NULL);
}

/* Checks; the document must be good. */
static inline struct value *fixture_good(struct fixture *f, const char *yaml)
{
    struct value *doc = fixture_read(f, yaml);
    if (fixture_check_value(f, doc, NULL) != 0) {
        fail_msg("%s", f->err.message);
    }
    return doc;
}

static inline void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\"\n does not contain\n\"%s\"", text, part);
    }
}

/* The document must be refused with this text in the error. */
static inline void fixture_bad(struct fixture *f, const char *yaml, const char *part)
{
    int rc = fixture_check(f, yaml);
    if (rc != ERR_INVALID) {
        fail_msg("%s\n is accepted, or refused with another error than \"%s\"", yaml, part);
    }
    assert_contains(f->err.message, part);
}

/* The change from one document to another must be refused with this text, or be good if part is NULL. */
static inline void fixture_change(struct fixture *f, const char *before, const char *after, const char *part)
{
    struct value *old = fixture_good(f, before), *doc = fixture_read(f, after);
    int rc = fixture_check_value(f, doc, old);
    if (part == NULL && rc != 0) {
        fail_msg("%s", f->err.message);
    }
    if (part != NULL) {
        assert_int_equal(rc, ERR_INVALID);
        assert_contains(f->err.message, part);
    }
}

static inline struct object *fixture_object(struct fixture *f, const char *yaml)
{
    struct value *doc = fixture_read(f, yaml);
    const struct kind *k = kind_of_document(&f->arena, doc, &f->err);
    struct object *o = NULL;
    if (k == NULL || kind_check_fields(k, &f->arena, doc, 0, &f->err) != 0 ||
        object_from_value(k, doc, 0, &o, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    return o;
}

/* A document in which every field that the table knows is set. */
static inline struct value *fixture_full_map(struct arena *a, const struct schema *s);

static inline struct value *fixture_full_one(struct arena *a, const struct field *f)
{
    switch (f->type) {
    case FIELD_OBJECT:
        return fixture_full_map(a, f->sub);
    case FIELD_INT32:
    case FIELD_INT64:
        return value_int(a, 7);
    case FIELD_BOOL:
        return value_bool(a, true);
    case FIELD_FLOAT:
        return value_float(a, 0.5);
    case FIELD_TIME:
        return value_cstr(a, "2026-01-01T00:00:00Z");
    case FIELD_QUANTITY:
        return value_cstr(a, "1500m");
    case FIELD_BYTES:
        return value_cstr(a, "aGk=");
    case FIELD_ANY: {
        struct value *v = value_map(a);
        value_set(a, v, "any", value_list(a));
        return v;
    }
    case FIELD_STRING:
    case FIELD_INT_OR_STRING:
        break;
    }
    return value_cstr(a, f->name);
}

static inline struct value *fixture_full_map(struct arena *a, const struct schema *s)
{
    struct value *v = value_map(a);
    for (unsigned i = s->count; i-- > 0;) {
        const struct field *f = &s->fields[i];
        struct value *one = fixture_full_one(a, f), *all = one;
        if (f->shape == SHAPE_LIST) {
            all = value_list(a);
            value_append(a, all, one);
        } else if (f->shape == SHAPE_MAP) {
            all = value_map(a);
            value_set(a, all, "key", one);
        }
        value_set(a, v, f->name, all);
    }
    return v;
}

#endif
