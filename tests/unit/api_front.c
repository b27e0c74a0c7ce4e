/* The verbs of the API behind another front than msgpack-RPC: one that speaks lines of text, as REST will speak HTTP.
 * There is a store behind it, with one master on a simulated disk, and no connection at all. */
#include "tests/unit/api_text.h"

#include "master/api/read.h"
#include "master/api/watch.h"
#include "master/auth/access.h"
#include "master/auth/revoked.h"
#include "master/master.h"
#include "master/nodes/feeds.h"

/* ---- A front that writes lines ---- */

struct teller {
    struct cluster c;
    struct master *m;
    struct subject *subject;
    struct lane lane;
    bool deaf; /* streams take nothing at present */
};

/* One request, and what it was answered so far. */
struct asked {
    struct teller *teller;
    struct api_call api;
    struct principal who;
    struct arena arena;
    bool later;
    struct told told;
};

static struct asked *asked_of(const struct api_call *c)
{
    return CONTAINER_OF(c, struct asked, api);
}

static struct told *told_of(const struct api_call *c)
{
    return &asked_of(c)->told;
}

static void text_fail(struct api_call *c, const struct error *err)
{
    struct told *q = told_of(c);
    assert_false(q->over);
    assert_int_not_equal(err->code, 0);
    q->over = true;
    q->error = *err;
}

static void text_go_on(struct api_call *c)
{
    asked_of(c)->later = true;
}

static struct lane *text_lane(const struct api_call *c)
{
    return &asked_of(c)->teller->lane;
}

static const struct api_front text_front = {
    .answer = text_answer,
    .told = text_told,
    .fail = text_fail,
    .item = text_item,
    .listed = text_listed,
    .go_on = text_go_on,
    .wake = text_go_on,
    .lane = text_lane,
    .open = text_open,
};

/* ---- The fixture ---- */

static bool any_room(void *data, enum turn_room room)
{
    (void)data;
    (void)room;
    return true;
}

static int set_up(void **state)
{
    struct teller *t = xcalloc(1, sizeof *t);
    struct master *m = t->m = xcalloc(1, sizeof *m);
    const struct pki_identity admin = {PKI_ROLE_ADMIN, "ann"};
    cluster_start(&t->c, 1, 7);
    m->replica = await_leader(&t->c)->replica;
    m->env = &t->c.sim.env;
    m->config.id = 1;
    uv_loop_init(&m->loop);
    uv_idle_init(&m->loop, &m->idle);
    list_init(&m->sessions);
    m->turns = turns_new(any_room, NULL);
    m->watches = watch_table_new(m);
    m->feeds = node_feeds_new(m);
    m->pages = list_pages_new(NULL, NULL);
    m->revoked = revoked_new();
    t->subject = subject_get(m->turns, &admin, NULL);
    lane_init(&t->lane, t->subject);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct teller *t = *state;
    struct master *m = t->m;
    lane_drop(m->turns, &t->lane);
    subject_unref(m->turns, t->subject);
    revoked_free(m->revoked);
    list_pages_free(m->pages);
    node_feeds_free(m->feeds);
    watch_table_free(m->watches);
    turns_free(m->turns);
    uv_close((uv_handle_t *)&m->idle, NULL);
    uv_run(&m->loop, UV_RUN_DEFAULT);
    uv_loop_close(&m->loop);
    cluster_close(&t->c);
    free(m);
    free(t);
    return 0;
}

static struct asked *ask(struct teller *t)
{
    struct asked *q = xcalloc(1, sizeof *q);
    q->teller = t;
    q->told.deaf = &t->deaf;
    principal_of_certificate(&q->who, &(struct pki_identity){PKI_ROLE_ADMIN, "ann"}, NULL);
    arena_init(&q->arena);
    q->api = (struct api_call){.m = t->m, .front = &text_front, .who = &q->who, .arena = &q->arena};
    return q;
}

/* The loop of the daemon, as far as verbs need it, until the request has its answer. */
static void await(struct asked *q)
{
    while (!q->told.over) {
        if (q->later) {
            q->later = false;
            api_go_on(&q->api);
        } else {
            step(&q->teller->c);
        }
    }
}

static void assert_told(struct asked *q, const char *text)
{
    assert_string_equal(buf_cstr(&q->told.text), text);
}

static void done(struct asked *q)
{
    if (q->told.watch != NULL) {
        watch_over(q->told.watch);
    }
    buf_close(&q->told.text);
    buf_close(&q->told.batch);
    arena_close(&q->arena);
    free(q);
}

/* Answered so, at last. */
static void assert_answered(struct asked *q, const char *text)
{
    await(q);
    if (q->told.error.code != 0) {
        fail_msg("%s: %s", err_reason(q->told.error.code), q->told.error.message);
    }
    assert_told(q, text);
    done(q);
}

static void assert_failed(struct asked *q, int code, const char *part)
{
    await(q);
    assert_int_equal(q->told.error.code, code);
    if (strstr(q->told.error.message, part) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", q->told.error.message, part);
    }
    done(q);
}

static struct asked *create(struct teller *t, const char *text, struct api_write how)
{
    struct asked *q = ask(t);
    verb_create(&q->api, &(struct api_create){how, document(&q->arena, text)});
    return q;
}

static void make(struct teller *t, const char *name)
{
    struct asked *q = ask(t);
    struct value *doc = document(&q->arena, CONFIG("x"));
    value_set(&q->arena, value_get(doc, "metadata"), "name", value_cstr(&q->arena, name));
    verb_create(&q->api, &(struct api_create){.object = doc});
    await(q);
    assert_int_equal(q->told.error.code, 0);
    done(q);
}

static void begin(struct teller *t)
{
    struct asked *q = create(t, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"default\"}}",
                             (struct api_write){0});
    assert_answered(q, "created Namespace/default\n");
}

static struct asked *get(struct teller *t, const char *name)
{
    struct asked *q = ask(t);
    struct api_target of = config(name);
    verb_get(&q->api, &of);
    return q;
}

/* ---- Tests ---- */

static void test_a_write_is_answered_when_it_is_committed(void **state)
{
    struct teller *t = *state;
    begin(t);
    struct asked *q = create(t, CONFIG("a"), (struct api_write){0});
    assert_false(q->told.over);
    assert_failed(get(t, "a"), ERR_NOT_FOUND, "configmaps \"a\" not found");
    assert_answered(q, "created ConfigMap/a\n");
    assert_answered(get(t, "a"), "ConfigMap/a\n");
    assert_failed(create(t, CONFIG("a"), (struct api_write){0}), ERR_EXISTS, "configmaps \"a\" already exists");
    assert_failed(create(t, CONFIG("A b"), (struct api_write){0}), ERR_INVALID, "metadata.name");
}

static void test_a_repetition_is_answered_as_the_first_time(void **state)
{
    struct teller *t = *state;
    const uint8_t id[TXN_ID_SIZE] = {1, 2, 3};
    begin(t);
    assert_answered(create(t, CONFIG("a"), (struct api_write){.id = id}), "created ConfigMap/a\n");
    assert_answered(create(t, CONFIG("a"), (struct api_write){.id = id}), "created ConfigMap/a\n");
}

static void test_a_dry_run_tells_what_would_be_and_writes_nothing(void **state)
{
    struct teller *t = *state;
    begin(t);
    assert_answered(create(t, CONFIG("a"), (struct api_write){.dry_run = true}), "created ConfigMap/a\n");
    assert_failed(get(t, "a"), ERR_NOT_FOUND, "not found");
}

static struct asked *patch(struct teller *t, const char *name, const char *text, uint64_t if_revision)
{
    struct asked *q = ask(t);
    verb_patch(&q->api, &(struct api_patch){
                            .of = config(name),
                            .part = api_part_named(STR("")),
                            .type = PATCH_MERGE,
                            .patch = document(&q->arena, text),
                            .if_revision = if_revision,
                        });
    return q;
}

static void test_patches_tell_whether_they_changed_anything(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    assert_answered(patch(t, "a", "{\"data\":{\"k\":\"v\"}}", 0), "configured ConfigMap/a\n");
    assert_answered(patch(t, "a", "{\"data\":{\"k\":\"v\"}}", 0), "unchanged ConfigMap/a\n");
    assert_failed(patch(t, "a", "{\"data\":{\"k\":\"w\"}}", 1), ERR_CONFLICT, "has been changed");
    assert_failed(patch(t, "b", "{}", 0), ERR_NOT_FOUND, "configmaps \"b\" not found");
    assert_null(api_part_named(STR("spec")));
}

static void test_apply_tells_what_became_of_each_object(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "b");
    struct asked *q = ask(t);
    struct value *list = document(&q->arena, "[" CONFIG("a") "," CONFIG("b") "]");
    value_set(&q->arena, value_item(list, 1), "data", document(&q->arena, "{\"k\":\"v\"}"));
    verb_apply(&q->api, &(struct api_apply){.objects = list});
    assert_answered(q, "created ConfigMap/a\nconfigured ConfigMap/b\n");
    q = ask(t);
    list = document(&q->arena, "[" CONFIG("a") "," CONFIG("c") "]");
    verb_apply(&q->api, &(struct api_apply){.objects = list});
    assert_answered(q, "unchanged ConfigMap/a\ncreated ConfigMap/c\n");
}

static void test_a_list_goes_on_where_its_page_ended(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    make(t, "b");
    make(t, "c");
    struct asked *first = ask(t), *next = ask(t);
    verb_list(&first->api, &(struct api_list){.of = configs(), .limit = 2});
    await(first);
    assert_told(first, "ConfigMap/a\nConfigMap/b\n");
    make(t, "d"); /* the pages are of one version */
    verb_list(&next->api, &(struct api_list){.of = configs(), .limit = 2, .token = str_of(first->told.token)});
    await(next);
    assert_string_equal(next->told.token, "");
    assert_told(next, "ConfigMap/c\n");
    done(next);
    next = ask(t);
    verb_list(&next->api, &(struct api_list){.of = configs(), .limit = 2, .token = STR("no such page")});
    assert_failed(next, ERR_USAGE, "continue");
    done(first);
}

static struct asked *page(struct teller *t, const struct asked *before)
{
    struct asked *q = ask(t);
    struct api_list list = {.of = {.kind = kind_by_id(KIND_CONFIGMAP)}, .limit = 2};
    list.token = before == NULL ? STR_NONE : str_of(before->told.token);
    verb_list(&q->api, &list);
    await(q);
    assert_int_equal(q->told.error.code, 0);
    return q;
}

static void test_a_page_of_all_objects_says_how_many_are_behind_it(void **state)
{
    struct teller *t = *state;
    begin(t);
    for (const char *name = "abcde"; *name != '\0'; name++) {
        make(t, (char[]){*name, '\0'});
    }
    struct asked *first = page(t, NULL), *second = page(t, first), *third = page(t, second);
    assert_int_equal(first->told.remaining, 3);
    assert_int_equal(second->told.remaining, 1);
    assert_int_equal(third->told.remaining, 0);
    assert_told(third, "ConfigMap/e\n");
    done(first);
    done(second);
    done(third);
    first = ask(t);
    verb_list(&first->api, &(struct api_list){.of = configs(), .limit = 2});
    await(first);
    assert_int_equal(first->told.remaining, 3);
    done(first);
    first = ask(t);
    struct api_list some = {.of = configs(), .limit = 2};
    some.of.fields = STR("metadata.name!=c");
    verb_list(&first->api, &some);
    await(first);
    assert_int_equal(first->told.remaining, -1); /* what a selector leaves is not counted */
    done(first);
}

static void test_a_list_visits_a_piece_at_a_time(void **state)
{
    struct teller *t = *state;
    begin(t);
    for (unsigned i = 0; i < TURNS_PIECE_VISITS + 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%04u", i);
        make(t, name);
    }
    struct asked *q = ask(t);
    struct api_list list = {.of = configs(), .limit = 10};
    list.of.fields = STR("metadata.name=c0130");
    verb_list(&q->api, &list);
    assert_false(q->told.over);
    assert_true(q->later);
    assert_answered(q, "ConfigMap/c0130\n");
}

static void test_deletes_tell_what_is_gone(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    make(t, "b");
    make(t, "c");
    struct asked *q = ask(t);
    verb_delete(&q->api, &(struct api_delete){.of = config("a"), .options = {.grace_s = -1}});
    assert_answered(q, "deleted ConfigMap/a is gone\n");
    q = ask(t);
    verb_delete(&q->api, &(struct api_delete){.of = config("a"), .options = {.grace_s = -1}});
    assert_failed(q, ERR_NOT_FOUND, "configmaps \"a\" not found");
    q = ask(t);
    verb_deletecollection(&q->api, &(struct api_deletecollection){.of = configs(), .options = {.grace_s = -1}});
    assert_answered(q, "2 objects\n");
}

static void test_a_transaction_is_done_whole_or_not_at_all(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    struct asked *q = ask(t);
    struct api_op ops[] = {
        {.type = API_OP_CREATE, .object = document(&q->arena, CONFIG("b"))},
        {.type = API_OP_DELETE, .of = config("a")},
        {.type = API_OP_CHECK, .of = config("c"), .absent = true},
    };
    verb_txn(&q->api, &(struct api_txn){.ops = ops, .count = 3});
    assert_answered(q, "created ConfigMap/b\ndeleted ConfigMap/a is gone\nunchanged  is gone\n");
    q = ask(t);
    ops[0].object = document(&q->arena, CONFIG("d"));
    ops[1] = (struct api_op){.type = API_OP_CHECK, .of = config("a")};
    verb_txn(&q->api, &(struct api_txn){.ops = ops, .count = 2});
    assert_failed(q, ERR_NOT_FOUND, "configmaps \"a\" not found");
    assert_failed(get(t, "d"), ERR_NOT_FOUND, "not found");
}

/* What has been committed is shown to the watches, as the daemon does it in its turn. */
static void show(struct teller *t)
{
    watch_table_advance(t->m->watches, false);
    while (watch_table_turn(t->m->watches)) {
    }
}

static void test_a_watch_lists_and_then_follows(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    show(t);
    struct asked *q = ask(t);
    verb_watch(&q->api, &(struct api_watch){.of = configs(), .revision = -1});
    assert_told(q, "ADDED ConfigMap/a;\nBOOKMARK ;\n");
    make(t, "b");
    show(t);
    assert_told(q, "ADDED ConfigMap/a;\nBOOKMARK ;\nADDED ConfigMap/b;\n");
    assert_int_equal(t->lane.watches, 1);
    done(q);
    assert_int_equal(t->lane.watches, 0);
}

static void test_a_transaction_is_one_batch_of_a_watch_that_could_not_be_sent_to_for_a_while(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    make(t, "b");
    show(t);
    struct asked *q = ask(t);
    verb_watch(&q->api, &(struct api_watch){
                            .of = configs(),
                            .revision = (int64_t)view_revision(store_committed(replica_store(t->m->replica))),
                        });
    t->deaf = true;
    struct asked *change = ask(t);
    struct api_op ops[] = {
        {.type = API_OP_CREATE, .object = document(&change->arena, CONFIG("c"))},
        {.type = API_OP_DELETE, .of = config("a")},
    };
    verb_txn(&change->api, &(struct api_txn){.ops = ops, .count = 2});
    await(change);
    assert_int_equal(change->told.error.code, 0);
    done(change);
    show(t);
    assert_told(q, "");
    t->deaf = false;
    watch_writable(q->told.watch);
    assert_told(q, ""); /* but in the next turn, with the others */
    show(t);
    assert_told(q, "ADDED ConfigMap/c;DELETED ConfigMap/a;\n");
    done(q);
}

static void assert_about(const struct error *err, const char *group, const char *kind, const char *name)
{
    struct str g, k, n;
    assert_true(error_about(err, &g, &k, &n));
    assert_true(str_is(g, group) && str_is(k, kind) && str_is(n, name));
}

/* What an HTTP front puts into a Status. */
static void test_errors_tell_their_object_and_their_causes_as_data(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    struct asked *q = get(t, "b");
    await(q);
    assert_about(&q->told.error, "", "configmaps", "b");
    done(q);
    q = create(t, CONFIG("a"), (struct api_write){0});
    await(q);
    assert_int_equal(q->told.error.code, ERR_EXISTS);
    assert_about(&q->told.error, "", "configmaps", "a");
    done(q);
    q = create(t,
               "{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"metadata\":{\"name\":\"r\"},\"spec\":{"
               "\"replicas\":-1}}",
               (struct api_write){0});
    await(q);
    struct error_cause_text c;
    assert_about(&q->told.error, "apps", "ReplicaSet", "r");
    assert_true(q->told.error.causes_all > 1);
    assert_true(error_cause(&q->told.error, 0, &c));
    assert_int_equal(c.reason, ERROR_CAUSE_REQUIRED);
    assert_true(str_is(c.field, "spec.selector"));
    done(q);
}

static void test_a_node_reads_no_more_than_its_own_node(void **state)
{
    struct teller *t = *state;
    begin(t);
    make(t, "a");
    struct asked *q = ask(t);
    struct error err = {0};
    struct api_request get = {.verb = API_GET, .get = config("a")},
                       own = {.verb = API_GET, .get = {kind_by_id(KIND_NODE), STR_NONE, STR("n1")}};
    const struct view *v = store_committed(replica_store(t->m->replica));
    principal_of_certificate(&q->who, &(struct pki_identity){PKI_ROLE_NODE, "n1"}, NULL);
    assert_int_equal(access_request(&q->api, v, &get, &err), ERR_FORBIDDEN);
    assert_non_null(strstr(err.message, "User \"system:node:n1\" cannot get resource \"configmaps\""));
    assert_int_equal(access_request(&q->api, v, &own, &err), 0);
    done(q);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_write_is_answered_when_it_is_committed),
        TEST(test_a_repetition_is_answered_as_the_first_time),
        TEST(test_a_dry_run_tells_what_would_be_and_writes_nothing),
        TEST(test_patches_tell_whether_they_changed_anything),
        TEST(test_apply_tells_what_became_of_each_object),
        TEST(test_a_list_goes_on_where_its_page_ended),
        TEST(test_a_page_of_all_objects_says_how_many_are_behind_it),
        TEST(test_a_list_visits_a_piece_at_a_time),
        TEST(test_deletes_tell_what_is_gone),
        TEST(test_a_transaction_is_done_whole_or_not_at_all),
        TEST(test_a_watch_lists_and_then_follows),
        TEST(test_a_transaction_is_one_batch_of_a_watch_that_could_not_be_sent_to_for_a_while),
        TEST(test_errors_tell_their_object_and_their_causes_as_data),
        TEST(test_a_node_reads_no_more_than_its_own_node),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
