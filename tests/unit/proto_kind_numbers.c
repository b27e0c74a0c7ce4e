/* The numbers of fields in protobuf messages: those that the tables of proto/kinds have, most of them by the order of
 * rows, beside the list of Kubernetes' messages (tests/script/fields/protobuf.txt). A field whose number is another one
 * would be read as another field. The list also tells which fields are always written, which the reader must know. */
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

#define MESSAGES_MAX 600
#define FIELDS_MAX   64
#define LIST         "tests/script/fields/protobuf.txt"

struct fact {
    unsigned number;
    const char *name, *type; /* without what stands around it */
    char around;             /* '[', '{', or 0 */
    bool pointed, always, inlined;
};

struct message {
    const char *name; /* "core/v1.PodSpec" */
    struct fact facts[FIELDS_MAX];
    unsigned count;
    const struct schema *judged;
};

struct list {
    struct message messages[MESSAGES_MAX];
    unsigned count, numbers, differ;
};

/* Spellings of earlier versions that are still read. */
static bool is_earlier(const struct schema *s, const char *field)
{
    return strcmp(s->name, "PodResourceClaim") == 0 && strcmp(field, "source") == 0; /* v1.30 */
}

/* ---- The list ---- */

static struct fact read_fact(struct arena *a, char *line)
{
    char *rest = line, *number = strtok_r(rest, " ", &rest), *name = strtok_r(rest, " ", &rest),
         *type = strtok_r(rest, " ", &rest);
    assert_true(number != NULL && name != NULL && type != NULL);
    struct fact f = {.number = (unsigned)strtoul(number, NULL, 10), .name = arena_strdup(a, name)};
    for (size_t n = strlen(type); n > 0 && strchr("?!=", type[n - 1]) != NULL; type[--n] = '\0') {
        *(type[n - 1] == '?' ? &f.pointed : type[n - 1] == '!' ? &f.always : &f.inlined) = true;
    }
    if (type[0] == '[' || type[0] == '{') {
        f.around = type[0];
        type[strlen(type) - 1] = '\0';
        type++;
    }
    f.type = arena_strdup(a, type);
    return f;
}

static void read_list(struct list *l, struct arena *a)
{
    FILE *in = fopen(LIST, "re");
    assert_non_null(in);
    char line[256];
    while (fgets(line, sizeof line, in) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0') {
            continue;
        }
        if (line[0] != ' ') {
            assert_true(l->count < MESSAGES_MAX);
            l->messages[l->count++].name = arena_strdup(a, line);
            continue;
        }
        assert_true(l->count > 0);
        struct message *m = &l->messages[l->count - 1];
        assert_true(m->count < FIELDS_MAX);
        m->facts[m->count++] = read_fact(a, line);
    }
    fclose(in);
}

/* The message of a type that stands in `beside`: "PodSpec" of the same group, "meta/v1.ObjectMeta" of another. */
static struct message *find_message(struct list *l, struct arena *a, const char *beside, const char *type)
{
    if (strchr(type, '.') == NULL) {
        type = arena_printf(a, "%.*s.%s", (int)strcspn(beside, "."), beside, type);
    }
    for (unsigned i = 0; i < l->count; i++) {
        if (strcmp(l->messages[i].name, type) == 0) {
            return &l->messages[i];
        }
    }
    return NULL;
}

/* ---- Comparing ---- */

static void differ(struct list *l, const struct message *m, const char *field, const char *what)
{
    print_error("%s %s: %s\n", m->name, field, what);
    l->differ++;
}

static struct field_number number_of(const struct schema *s, const struct field *f)
{
    struct field_number last = {0, 0}, n = {0, 0};
    for (unsigned i = 0; &s->fields[i] <= f; i++) {
        n = field_number_next(&last, &s->fields[i]);
    }
    return n;
}

static bool type_fits(const struct field *f, const struct fact *t)
{
    static const struct {
        const char *type;
        enum field_type ours;
    } types[] = {
        {"string", FIELD_STRING}, {"int32", FIELD_INT32},          {"int64", FIELD_INT64},
        {"bool", FIELD_BOOL},     {"double", FIELD_FLOAT},         {"bytes", FIELD_BYTES},
        {"time", FIELD_TIME},     {"micro", FIELD_TIME},           {"quantity", FIELD_QUANTITY},
        {"json", FIELD_ANY},      {"either", FIELD_INT_OR_STRING}, {"texts", FIELD_ANY},
    };
    enum field_shape shape = t->around == '[' ? SHAPE_LIST : t->around == '{' ? SHAPE_MAP : SHAPE_ONE;
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(types[i].type, t->type) == 0) {
            return f->type == types[i].ours && f->shape == shape &&
                   (strcmp(t->type, "micro") == 0) == ((f->flags & FIELD_MICRO) != 0);
        }
    }
    return f->shape == shape && (f->type == FIELD_OBJECT || (f->type == FIELD_ANY && f->state == FIELD_REFUSED));
}

/* "" of a text that is pointed to is not looked at: of most it is no value. */
static void compare_zero(struct list *l, const struct message *m, const struct field *f, const struct fact *t)
{
    bool counts = f->shape == SHAPE_ONE && (f->type == FIELD_BOOL || f->type == FIELD_INT32 || f->type == FIELD_INT64);
    bool zero = (f->flags & FIELD_ZERO) != 0;
    if (counts && t->pointed && zero) {
        differ(l, m, f->name, "is ZERO, but 0 and false say something: Kubernetes' type points to it");
    } else if (counts && !t->pointed && !t->always && !zero) {
        differ(l, m, f->name, "is always in the message, and 0 and false are as good as absent: write ZERO");
    }
}

static void compare(struct list *l, struct arena *a, struct message *m, const struct schema *s);

static void compare_fact(struct list *l, struct arena *a, const struct message *m, const struct schema *s,
                         const struct fact *t, unsigned inside)
{
    const struct field *f = schema_field(s, str_of(t->name));
    if (f == NULL) {
        return; /* of a later version: proto_kind_fields says which fields there are */
    }
    struct field_number n = number_of(s, f);
    l->numbers++;
    if (n.number == 0 && f->type == FIELD_ANY) {
        return;
    }
    if (n.number != t->number || n.inside != inside) {
        differ(l, m, t->name,
               inside == 0
                   ? arena_printf(a, "has the number %u; write NUMBER(%u)", n.number, t->number)
                   : arena_printf(a, "has the number %u; write INSIDE(%u), NUMBER(%u)", n.number, inside, t->number));
        return;
    }
    struct message *sub = find_message(l, a, m->name, t->type);
    if (!type_fits(f, t)) {
        differ(l, m, t->name, arena_printf(a, "is of another type than %s", t->type));
    } else if (f->type == FIELD_OBJECT && sub == NULL) {
        differ(l, m, t->name, arena_printf(a, "the list lacks the message %s", t->type));
    } else if (f->type == FIELD_OBJECT) {
        compare(l, a, sub, f->sub);
    }
    compare_zero(l, m, f, t);
}

static bool has_fact(struct list *l, struct arena *a, const struct message *m, const char *name)
{
    for (unsigned i = 0; i < m->count; i++) {
        const struct fact *t = &m->facts[i];
        struct message *sub = t->inlined ? find_message(l, a, m->name, t->type) : NULL;
        if (strcmp(t->name, name) == 0 || (sub != NULL && has_fact(l, a, sub, name))) {
            return true;
        }
    }
    return false;
}

static void compare(struct list *l, struct arena *a, struct message *m, const struct schema *s)
{
    if (m->judged == s) {
        return;
    }
    m->judged = s;
    for (unsigned i = 0; i < m->count; i++) {
        const struct fact *t = &m->facts[i];
        struct message *sub = t->inlined ? find_message(l, a, m->name, t->type) : NULL;
        if (sub == NULL) {
            compare_fact(l, a, m, s, t, 0);
            continue;
        }
        for (unsigned k = 0; k < sub->count; k++) {
            compare_fact(l, a, sub, s, &sub->facts[k], t->number);
        }
    }
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->number != FIELD_NO_NUMBER && !is_earlier(s, f->name) && !has_fact(l, a, m, f->name)) {
            differ(l, m, f->name, "is not in the message: write NO_NUMBER");
        }
    }
}

/* "networking.k8s.io/v1" is "networking/v1" in the list, "v1" is "core/v1". */
static const char *message_of(struct arena *a, const char *api_version, const char *kind)
{
    const char *slash = strchr(api_version, '/');
    if (strcmp(kind, "DeleteOptions") == 0) {
        return "meta/v1.DeleteOptions";
    }
    return slash == NULL ? arena_printf(a, "core/%s.%s", api_version, kind)
                         : arena_printf(a, "%.*s%s.%s", (int)strcspn(api_version, "./"), api_version, slash, kind);
}

static void compare_kind(struct list *l, struct arena *a, const struct kind *k, const char *api_version)
{
    const struct schema *s = kind_version_schema(k, str_of(api_version));
    const char *name = message_of(a, api_version, k->name);
    struct message *m = find_message(l, a, "", name);
    if (s == NULL || k->json_only) {
        return;
    }
    if (m == NULL) {
        print_error("%s: " LIST " has no such message: write the numbers of its fields there, or .json_only in its "
                    "kind if Kubernetes has none\n",
                    name);
        l->differ++;
        return;
    }
    compare(l, a, m, s);
}

static void the_numbers_are_those_of_kubernetes(void **state)
{
    struct fixture *f = *state;
    struct list *l = xcalloc(1, sizeof *l);
    read_list(l, &f->arena);
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct kind *k = kinds_at(i);
        compare_kind(l, &f->arena, k, k->api_version);
        for (const struct kind_version *v = k->versions; v != NULL && v->api_version != NULL; v++) {
            compare_kind(l, &f->arena, k, v->api_version);
        }
    }
    for (unsigned i = 0; i < kind_requests_count(); i++) {
        compare_kind(l, &f->arena, kind_requests_at(i), kind_requests_at(i)->api_version);
    }
    printf("%u messages, %u numbers\n", l->count, l->numbers);
    unsigned count = l->differ;
    free(l);
    assert_int_equal(count, 0);
}

/* No two fields of a message with one number; our own kinds have none to keep. */
static void each_number_is_one_field(void **state)
{
    (void)state;
    for (unsigned i = 0; i < kinds_count(); i++) {
        const struct schema *s = kinds_at(i)->schema;
        for (unsigned k = 0; k < s->count; k++) {
            struct field_number n = number_of(s, &s->fields[k]);
            bool opens;
            if (n.number != 0) {
                assert_ptr_equal(schema_field_numbered(s, n.inside, n.number, &opens), &s->fields[k]);
            }
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_numbers_are_those_of_kubernetes),
        TEST(each_number_is_one_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
