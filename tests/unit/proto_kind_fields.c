/* The tables of proto/kinds/ beside the list of fields of Kubernetes' API (tests/script/fields): the same fields of the
 * same types, merged the same way by a strategic merge patch, neither more nor less. What a later version of the API
 * adds is a new list. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

#define TYPES_MAX  512
#define FIELDS_MAX 64

struct listed {
    const char *name, *type;
    const char *merge; /* "by name", "set", "by name retainKeys", "" */
};

struct type {
    const char *name;
    struct listed fields[FIELDS_MAX];
    unsigned count;
    const struct schema *judged; /* the last one compared with it */
};

struct list {
    struct type types[TYPES_MAX];
    unsigned count, fields, differ;
};

/* Spellings of earlier versions that are still read. */
static const struct {
    const char *schema, *field;
} EARLIER[] = {
    {"PodResourceClaim", "source"}, /* v1.30 */
};

static bool is_earlier(const struct schema *s, const struct field *f)
{
    for (unsigned i = 0; i < ARRAY_SIZE(EARLIER); i++) {
        if (strcmp(s->name, EARLIER[i].schema) == 0 && strcmp(f->name, EARLIER[i].field) == 0) {
            return true;
        }
    }
    return false;
}

static void read_list(struct list *l, struct arena *a, const char *path)
{
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    char line[256];
    while (fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') {
            continue;
        }
        if (line[0] != ' ') {
            assert_true(l->count < TYPES_MAX);
            l->types[l->count++].name = arena_strdup(a, line);
            continue;
        }
        assert_true(l->count > 0);
        struct type *t = &l->types[l->count - 1];
        assert_true(t->count < FIELDS_MAX);
        char *rest = arena_strdup(a, line), *name = strtok_r(rest, " ", &rest), *type = strtok_r(rest, " ", &rest);
        assert_true(name != NULL && type != NULL);
        t->fields[t->count++] = (struct listed){name, type, rest};
    }
    fclose(in);
}

static struct type *find_type(struct list *l, struct str name)
{
    for (unsigned i = 0; i < l->count; i++) {
        if (str_is(name, l->types[i].name)) {
            return &l->types[i];
        }
    }
    return NULL;
}

/* "[Volume]" is "Volume". */
static struct str element(const char *type)
{
    size_t n = strlen(type);
    return type[0] == '[' || type[0] == '{' ? (struct str){type + 1, n - 2} : (struct str){type, n};
}

static const char *type_of(struct arena *a, const struct field *f, const char *listed)
{
    static const char *const names[] = {
        [FIELD_STRING] = "string",     [FIELD_INT32] = "int32", [FIELD_INT64] = "int64",
        [FIELD_BOOL] = "bool",         [FIELD_FLOAT] = "float", [FIELD_TIME] = "time",
        [FIELD_QUANTITY] = "quantity", [FIELD_BYTES] = "bytes", [FIELD_INT_OR_STRING] = "int-or-string",
        [FIELD_ANY] = "any",
    };
    /* Maps go by the name that the list has; what is in them is compared on its own. */
    struct str inner = f->type == FIELD_OBJECT ? element(listed) : str_of(names[f->type]);
    switch (f->shape) {
    case SHAPE_LIST:
        return arena_printf(a, "[%.*s]", STR_ARG(inner));
    case SHAPE_MAP:
        return arena_printf(a, "{%.*s}", STR_ARG(inner));
    default:
        return arena_printf(a, "%.*s", STR_ARG(inner));
    }
}

static const char *merge_of(struct arena *a, const struct field *f)
{
    const char *how = "";
    if (f->merge_key != NULL) {
        how = arena_printf(a, "by %s", f->merge_key);
    } else if (f->flags & FIELD_SET) {
        how = "set";
    }
    return (f->flags & FIELD_RETAIN_KEYS) ? arena_printf(a, "%s%sretainKeys", how, how[0] != '\0' ? " " : "") : how;
}

static void differ(struct list *l, const struct type *t, const char *field, const char *what, const char *own,
                   const char *listed)
{
    print_error("%s.%s: %s is \"%s\", the list has \"%s\"\n", t->name, field, what, own, listed);
    l->differ++;
}

static void compare(struct list *l, struct arena *a, struct type *t, const struct schema *s)
{
    if (t->judged == s) {
        return;
    }
    t->judged = s;
    for (unsigned i = 0; i < t->count; i++) {
        const struct listed *listed = &t->fields[i];
        const struct field *f = schema_field(s, str_of(listed->name));
        l->fields++;
        if (f == NULL) {
            differ(l, t, listed->name, "the field", "", listed->type);
            continue;
        }
        struct type *sub = find_type(l, element(listed->type));
        const char *type = type_of(a, f, listed->type), *merge = merge_of(a, f);
        if (strcmp(type, listed->type) != 0 || (sub != NULL) != (f->type == FIELD_OBJECT)) {
            differ(l, t, f->name, "the type", type, listed->type);
        } else if (sub != NULL) {
            compare(l, a, sub, f->sub);
        }
        if (strcmp(merge, listed->merge) != 0) {
            differ(l, t, f->name, "the merge", merge, listed->merge);
        }
    }
    for (unsigned i = 0; i < s->count; i++) {
        bool found = is_earlier(s, &s->fields[i]);
        for (unsigned k = 0; k < t->count && !found; k++) {
            found = strcmp(s->fields[i].name, t->fields[k].name) == 0;
        }
        if (!found) {
            differ(l, t, s->fields[i].name, "the field", s->fields[i].name, "");
        }
    }
}

static void the_fields_are_those_of_kubernetes(void **state)
{
    struct fixture *f = *state;
    struct list *l = xcalloc(1, sizeof *l);
    read_list(l, &f->arena, "tests/script/fields/kubernetes-1.33.txt");
    for (unsigned i = 0; i < kinds_count(); i++) {
        if (str_is(kind_group(kinds_at(i)), "reeve.io")) {
            continue; /* our own */
        }
        struct type *t = find_type(l, str_of(kinds_at(i)->name));
        assert_non_null(t);
        compare(l, &f->arena, t, kinds_at(i)->schema);
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (l->types[i].judged == NULL) {
            differ(l, &l->types[i], "", "the type", "", l->types[i].name);
        }
    }
    printf("%u types, %u fields\n", l->count, l->fields);
    unsigned count = l->differ;
    free(l);
    assert_int_equal(count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_fields_are_those_of_kubernetes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
