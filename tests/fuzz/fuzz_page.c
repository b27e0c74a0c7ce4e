/* Tokens that lists go on with. The first byte: bit 0, the rest is a token as it came, or what stands in one; the other
 * bits, the kind that is listed. What is read is written and read as the same; and wherever a token says that a list
 * goes on, what follows is the end of the whole list. */
#include "master/api/list_token.h"
#include "proto/schema/selector.h"
#include "proto/text/text.h"
#include "tests/fuzz/kit_store.h"

#define LISTED_MAX 16u

static struct store *state(void)
{
    static struct store *s;
    if (s == NULL) {
        s = fuzz_store_new(false);
        CHECK(s != NULL);
    }
    return s;
}

static unsigned take(struct view_iter *it, const struct object **out)
{
    unsigned n = 0;
    for (const struct object *o; (o = view_next(it)) != NULL; n++) {
        CHECK(n < LISTED_MAX);
        out[n] = o;
    }
    return n;
}

/* What `more` has is the end of what `whole` has. */
static void check_end(struct view_iter *whole, struct view_iter *more)
{
    const struct object *all[LISTED_MAX], *rest[LISTED_MAX];
    unsigned count = take(whole, all), left = take(more, rest);
    CHECK(left <= count);
    for (unsigned i = 0; i < left; i++) {
        CHECK(rest[i] == all[count - left + i]);
    }
}

static void go_on(const struct kind *k, struct str ns, const struct list_token *t)
{
    const struct view *v = store_committed(state());
    struct view_iter whole, more;
    view_iter(&whole, v, k, ns);
    view_iter_after(&more, v, k, ns, t->ns, t->name);
    check_end(&whole, &more);
}

/* The same by an index. */
static void go_on_indexed(const struct kind *k, struct str ns, const struct list_token *t)
{
    const struct view *v = store_committed(state());
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf key = BUF_INIT;
    struct selector *labels;
    enum view_index index;
    struct view_iter whole, more;
    arena_init(&a);
    CHECK(selector_parse(&a, STR("a=b"), &labels, NULL) == 0);
    if (view_choose_index(v, k, ns, labels, NULL, &index, &key)) {
        view_iter_index(&whole, v, index, buf_str(&key), k, ns);
        view_iter_index_after(&more, v, index, buf_str(&key), k, ns, t->ns, t->name);
        check_end(&whole, &more);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum kind_id kinds[] = {KIND_CONFIGMAP, KIND_POD, KIND_NODE, KIND_DEPLOYMENT};
    struct fuzz_input f = fuzz_input(data, size);
    uint8_t head = fuzz_byte(&f);
    struct str text = fuzz_rest(&f);
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf coded = BUF_INIT, again = BUF_INIT;
    struct list_token t, back;
    arena_init(&a);
    if ((head & 1) != 0) {
        base64_write(&coded, text.p, text.n);
        text = buf_str(&coded);
    }
    if (!list_token_read(&a, text, &t)) {
        return 0;
    }
    list_token_write(&again, &t);
    CHECK(list_token_read(&a, buf_str(&again), &back));
    CHECK(back.master == t.master && back.revision == t.revision && back.told == t.told && str_eq(back.ns, t.ns) &&
          str_eq(back.name, t.name));
    const struct kind *k = kind_by_id(kinds[head >> 1 & 3]);
    go_on(k, STR_NONE, &t);
    go_on_indexed(k, STR_NONE, &t);
    if (k->id != KIND_NODE) {
        go_on(k, STR("default"), &t);
        go_on_indexed(k, STR("default"), &t);
    }
    return 0;
}
