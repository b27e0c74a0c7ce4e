/* Selectors. Input: text of a selector, NUL, a label selector document (YAML), NUL, labels (YAML). The text of a parsed
 * selector parses to one that says the same of the labels. */
#include "proto/schema/selector.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static struct value *document(struct arena *a, struct str text)
{
    struct value **docs;
    unsigned count;
    return yaml_read(a, text, NULL, &docs, &count, NULL) == 0 && count > 0 ? docs[0] : NULL;
}

/* As text and back. The text of none is for people ("<none>"). */
static void check_text(struct arena *a, const struct selector *s, const struct value *labels)
{
    CLEANUP_BUF struct buf one = BUF_INIT;
    CLEANUP_BUF struct buf two = BUF_INIT;
    struct selector *back;
    struct error err = {0};
    selector_write(&one, s);
    if (selector_empty(s)) {
        CHECK(str_is(buf_str(&one), "<none>") && selector_matches_value(s, labels));
        return;
    }
    int rc = selector_parse(a, buf_str(&one), &back, &err);
    if (rc != 0) {
        fprintf(stderr, "%.*s: %s\n", STR_ARG(buf_str(&one)), err.message);
    }
    CHECK(rc == 0);
    selector_write(&two, back);
    CHECK(str_eq(buf_str(&one), buf_str(&two)));
    CHECK(selector_matches_value(s, labels) == selector_matches_value(back, labels));
}

/* Each kind has fields of its own. */
static void check_fields(struct arena *a, struct str text)
{
    for (unsigned i = 0; i < kinds_count(); i++) {
        struct selector *s;
        struct error err = {0};
        int rc = field_selector_parse(a, kinds_at(i), text, &s, &err);
        if (rc != 0) {
            CHECK_FAILED(rc, err);
        } else {
            CHECK(field_selector_value(s, "metadata.name").n <= text.n);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    struct str text = fuzz_until(&f, 0), doc_text = fuzz_until(&f, 0), label_text = fuzz_rest(&f);
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf wire = BUF_INIT;
    struct selector *s;
    struct error err = {0};
    arena_init(&a);
    struct value *labels = document(&a, label_text), *doc = document(&a, doc_text);
    int rc = selector_parse(&a, text, &s, &err);
    if (rc == 0) {
        check_text(&a, s, labels);
    } else {
        CHECK_FAILED(rc, err);
    }
    check_fields(&a, text);
    rc = selector_from_value(&a, doc, &s, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    if (doc == NULL) { /* selects nothing */
        CHECK(!selector_matches_value(s, labels));
        return 0;
    }
    check_text(&a, s, labels);
    msgpack_write_value(&wire, doc);
    struct selector *same;
    CHECK(selector_from_mp(&a, mp_of(wire.data, wire.size), &same, &err) == 0);
    CHECK(selector_matches_value(s, labels) == selector_matches_value(same, labels));
    if (labels != NULL) {
        buf_reset(&wire);
        msgpack_write_value(&wire, labels);
        CHECK(selector_matches_value(s, labels) == selector_matches(s, mp_of(wire.data, wire.size)));
    }
    return 0;
}
