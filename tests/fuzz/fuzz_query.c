/* What a request of REST asks for: its address, its query, and in which form it wants its answer. Input: a path, NUL, a
 * query, NUL, an Accept header, and a last byte that says what may be answered. Whatever comes is read to its end or
 * refused with a reason; options are within their bounds; a form that is chosen is one that may be answered, and is
 * chosen still when a type that nobody wants (q=0) or knows stands beside it. */
#include "master/rest/form.h"
#include "master/rest/path.h"
#include "proto/schema/selector.h"
#include "tests/fuzz/fuzz.h"

static void check_path(struct arena *a, struct str text)
{
    struct rest_path p;
    if (rest_path_read(a, text, &p)) {
        CHECK(p.place != REST_OBJECTS || (p.kind != NULL && p.api_version != NULL && p.plural.n > 0));
    }
}

static void check_options(struct arena *a, struct str query)
{
    struct rest_options o;
    struct error err = {0};
    struct selector *s;
    int rc = rest_options_read(a, query, &o, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        CHECK(rc == ERR_USAGE || rc == ERR_INVALID);
        return;
    }
    CHECK(o.limit >= 0 && o.timeout_s >= 0 && o.manager.n <= 128);
    if (rest_options_check_list(&o, &err) != 0) {
        CHECK(err.message[0] != '\0');
    }
    (void)selector_parse(a, o.labels, &s, NULL);
    (void)field_selector_parse(a, kind_by_id(KIND_POD), o.fields, &s, NULL);
}

static bool may(const struct rest_form *f, unsigned allowed)
{
    switch (f->type) {
    case REST_FORM_OBJECT:
        return f->version == NULL;
    case REST_FORM_TABLE:
        return (allowed & REST_MAY_TABLE) && f->version != NULL;
    case REST_FORM_PARTIAL:
        return (allowed & (REST_MAY_PARTIAL | REST_MAY_PARTIALS)) && f->version != NULL;
    case REST_FORM_DISCOVERY:
        return (allowed & REST_MAY_DISCOVERY) && f->version != NULL;
    }
    return false;
}

static void check_accept(struct str accept, unsigned allowed)
{
    struct rest_form form, again;
    CLEANUP_BUF struct buf more = BUF_INIT;
    bool any = rest_form_choose(accept, allowed, &form);
    CHECK(!any || may(&form, allowed));
    if (accept.n > 0) {
        buf_puts(&more, "image/png;q=0, ");
        buf_append_str(&more, accept);
        CHECK(rest_form_choose(buf_str(&more), allowed, &again) == any);
        CHECK(!any || again.type == form.type);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    struct str path = fuzz_until(&f, 0), query = fuzz_until(&f, 0), accept = fuzz_rest(&f);
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    check_path(&a, path);
    check_options(&a, query);
    unsigned allowed = accept.n == 0 ? 0 : (uint8_t)accept.p[accept.n - 1];
    check_accept(accept.n == 0 ? STR_NONE : (struct str){accept.p, accept.n - 1}, allowed);
    return 0;
}
