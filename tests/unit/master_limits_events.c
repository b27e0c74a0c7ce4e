/* A flood of events: the oldest of its namespace fall off, and watchers are told; other namespaces, objects and the
 * bound of the state lose nothing by it; lists, pages and selectors show what is left, also after a restart. */
#include "tests/unit/kit/master_kit.h"

static const char *const few[] = {"--events-mb", "1", "--state-objects", "60", NULL};
#define FLOOD      600u /* of some 1,000 bytes and what each weighs besides: twice what a quarter of a MiB holds */
#define OTHERS     5u
#define EVENTS_MAX (1u << 20)
#define KEPT_BYTES 512 /* beside its body */

static int set_up(void **state)
{
    *state = kit_one(few);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static void make_namespace(struct client *c, const char *name)
{
    must(c, "create", "{object: {apiVersion: v1, kind: Namespace, metadata: {name: %s}}}", name);
}

static void tell(struct client *c, const char *ns, unsigned i)
{
    char text[700];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    must(c, "create",
         "{object: {apiVersion: v1, kind: Event, metadata: {name: e%04u, namespace: %s}, involvedObject: {kind: Pod, "
         "apiVersion: v1, namespace: %s, name: p%u}, reason: Flood, message: %s, type: Normal}}",
         i, ns, ns, i % 7, text);
}

/* The first of a namespace that is left, and how many: in pages, all in order. */
static unsigned list(struct client *c, const char *ns, const char *more, char first[32])
{
    CLEANUP_FREE char *next = xstrdup("");
    char last[32] = "";
    unsigned count = 0;
    first[0] = '\0';
    do {
        must(c, "list", "{kind: Event, namespace: %s, limit: 50%s%s%s%s}", ns, more, *next ? ", continue: '" : "", next,
             *next ? "'" : "");
        const struct value *items = value_get(c->result, "items");
        for (unsigned i = 0; i < value_count(items); i++) {
            const char *name = value_text(c->kit, value_item(items, i), "metadata.name");
            assert_true(strcmp(last, name) < 0);
            snprintf(last, sizeof last, "%s", name);
            if (count++ == 0) {
                snprintf(first, 32, "%s", name);
            }
        }
        free(next);
        next = xstrdup(value_path(c->result, "continue") == NULL ? "" : text_at(c, "continue"));
    } while (*next);
    return count;
}

static unsigned deleted(struct client *c, struct stream *s, unsigned want)
{
    unsigned count = 0;
    while (count < want) {
        const struct value *payload = stream_next(s);
        assert_non_null(payload);
        const struct value *events = value_get(payload, "events");
        for (unsigned i = 0; i < value_count(events); i++) {
            const struct value *e = value_item(events, i);
            if (strcmp(value_text(c->kit, e, "type"), "DELETED") == 0) {
                char name[32];
                snprintf(name, sizeof name, "e%04u", count++); /* in the order in which they were written */
                assert_string_equal(value_text(c->kit, e, "object.metadata.name"), name);
            }
        }
    }
    return count;
}

static void a_flood_drops_the_oldest_of_its_namespace_and_refuses_nobody(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0);
    char first[32], name[32];
    make_namespace(c, "flood");
    make_namespace(c, "quiet");
    for (unsigned i = 0; i < OTHERS; i++) {
        tell(c, "quiet", i);
    }
    struct stream *s = stream_open(c, "watch", "{kind: Event, namespace: flood}");
    must(c, "cluster", "{}");
    int64_t objects = int_at(c, "state.objects");
    for (unsigned i = 0; i < FLOOD; i++) {
        tell(c, "flood", i);
    }
    unsigned left = list(c, "flood", "", first);
    assert_true(left > 100 && left < FLOOD / 2);
    assert_true((uint64_t)left * (700 + KEPT_BYTES) <= EVENTS_MAX / 4);
    snprintf(name, sizeof name, "e%04u", FLOOD - left);
    assert_string_equal(first, name); /* all that is left is newer than all that is gone */
    assert_int_equal(deleted(c, s, FLOOD - left), FLOOD - left);
    assert_int_equal(list(c, "quiet", "", first), OTHERS);
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: Event, namespace: flood, name: e0000}");
    must(c, "get", "{kind: Event, namespace: flood, name: e%04u}", FLOOD - 1);
    /* As describe asks. */
    unsigned about = list(c, "flood", ", fieldSelector: 'involvedObject.name=p3'", first);
    assert_true(about >= left / 7 && about <= left / 7 + 1);
    /* What is written once more is the newest. */
    must(c, "patch", "{kind: Event, namespace: flood, name: %s, type: merge, patch: {count: 2}}", name);
    for (unsigned i = 0; i < 3; i++) {
        tell(c, "flood", FLOOD + i);
    }
    must(c, "get", "{kind: Event, namespace: flood, name: %s}", name);
    must(c, "create",
         "{dryRun: true, object: {apiVersion: v1, kind: Event, metadata: {name: e9999, namespace: flood}, "
         "involvedObject: {kind: Pod, apiVersion: v1, namespace: flood, name: p1}, reason: R}}");
    must(c, "cluster", "{}");
    assert_in_range(int_at(c, "state.objects"), objects, objects + 8); /* events do not count; accounts come late */
    assert_in_range(int_at(c, "stats.eventsFallenOff"), FLOOD - left, FLOOD - left + 4);
    assert_in_range(int_at(c, "stats.eventsBytes"), 1, EVENTS_MAX);
    left = list(c, "flood", "", first);
    stream_close(s);
    client_close(c);
    kit_stop(k, 0, SIGKILL);
    kit_start(k, 0);
    kit_leader(k);
    c = client_admin(k, 0);
    char again[32];
    assert_int_equal(list(c, "flood", "", again), left);
    assert_string_equal(again, first);
    must(c, "deletecollection", "{kind: Event, namespace: flood}");
    assert_int_equal(list(c, "flood", "", again), 0);
    assert_int_equal(list(c, "quiet", "", again), OTHERS);
    must(c, "delete", "{kind: Namespace, name: quiet}");
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS; call(c, "get", "{kind: Namespace, name: quiet}") == 0;) {
        assert_true(kit_now() < until);
    }
    assert_int_equal(list(c, "quiet", "", again), 0);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_flood_drops_the_oldest_of_its_namespace_and_refuses_nobody, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
