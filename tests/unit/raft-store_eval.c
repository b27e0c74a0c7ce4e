/* What evaluation on the tip decides: preconditions, what the store gives and keeps, parts, deletion, all or
 * nothing, repeats. */
#include "tests/unit/raft-store_help.h"

#include "base/timefmt.h"

struct fixture {
    struct fake_env fake;
    struct store *s;
    struct error err;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    fake_init(&f->fake, 1);
    f->s = store_plain(&f->fake);
    store_tip_open(f->s, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_free(f->s);
    free(f);
    return 0;
}

static const struct object *tip_find(struct fixture *f, unsigned kind, const char *ns, const char *name)
{
    view_check(store_tip(f->s));
    return find(store_tip(f->s), kind, ns, name);
}

#define DEPLOYMENT                                                                                                     \
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: default}, spec: {replicas: 3, "          \
    "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, "           \
    "image: nginx}]}}}}"

static void a_created_object_gets_uid_time_generation_and_revision(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(o->uid.n, 36);
    assert_int_equal(object_created_ms(o), 1767225600000);
    assert_int_equal(o->generation, 1);
    assert_int_equal(o->revision, 1);
    assert_int_equal(view_revision(store_tip(f->s)), 1);
    assert_int_equal(view_revision(store_committed(f->s)), 0);
}

static void a_create_of_what_exists_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    assert_int_equal(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), ERR_EXISTS);
    assert_string_equal(f->err.message, "deployments.apps \"web\" already exists");
}

static void an_update_or_delete_of_what_is_not_there_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct object *o = pod("default", "a", NULL);
    assert_int_equal(eval_update(f->s, object_ref(o), TXN_PART_ALL, 0, NULL, &f->err), ERR_NOT_FOUND);
    assert_string_equal(f->err.message, "pods \"a\" not found");
    assert_int_equal(eval_delete(f->s, o, &f->err), ERR_NOT_FOUND);
    object_unref(o);
}

static void set_replicas(struct arena *a, struct value *doc)
{
    value_set(a, value_get(doc, "spec"), "replicas", value_int(a, 5));
}
static void set_status(struct arena *a, struct value *doc)
{
    value_set(a, value_ensure_map(a, doc, "status"), "replicas", value_int(a, 2));
}
static void set_label(struct arena *a, struct value *doc)
{
    value_set(a, value_ensure_map(a, value_get(doc, "metadata"), "labels"), "x", value_cstr(a, "y"));
}
static void forge_metadata(struct arena *a, struct value *doc)
{
    struct value *meta = value_get(doc, "metadata");
    value_remove(meta, "uid");
    value_set(a, meta, "creationTimestamp", value_cstr(a, "2001-01-01T00:00:00Z"));
    value_set(a, meta, "generation", value_int(a, 77));
    set_label(a, doc);
}

static void generation_counts_changes_of_the_spec_only(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    must(eval_update(f->s, edited(o, set_label), TXN_PART_SPEC, 0, NULL, &f->err), &f->err);
    o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(o->generation, 1);
    must(eval_update(f->s, edited(o, set_status), TXN_PART_STATUS, 0, NULL, &f->err), &f->err);
    o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(o->generation, 1);
    must(eval_update(f->s, edited(o, set_replicas), TXN_PART_SPEC, 0, NULL, &f->err), &f->err);
    o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(o->generation, 2);
    assert_int_equal(o->revision, 4);
}

/* The spec changes in its bytes; the documents, which the caller claims to be those of both versions, are equal. */
static int64_t generation_with_documents(struct fixture *f, uint64_t was_at)
{
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    const struct object *old = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    struct txn_op *op = txn_update(&t, edited(old, set_replicas), TXN_PART_SPEC, 0);
    op->doc = op->was = object_to_value(&a, old);
    op->was_at = was_at;
    must(store_eval(f->s, &t, &result, &f->err), &f->err);
    txn_close(&t);
    return tip_find(f, KIND_DEPLOYMENT, "default", "web")->generation;
}

static void documents_that_the_caller_has_decoded_are_not_decoded_again(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(generation_with_documents(f, o->revision), 1);
}

static void documents_of_another_version_are_not_believed(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(generation_with_documents(f, o->revision + 1), 2);
}

static void parts_keep_what_is_not_theirs(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = object_ref(tip_find(f, KIND_DEPLOYMENT, "default", "web"));
    /* The status part: spec and labels of the new object are ignored. */
    struct object *both = edited(o, set_replicas), *with_status = edited(both, set_status);
    must(eval_update(f->s, object_ref(with_status), TXN_PART_STATUS, 0, NULL, &f->err), &f->err);
    const struct object *got = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(mp_int(mp_path(object_mp(got), "spec.replicas"), 0), 3);
    assert_int_equal(mp_int(mp_path(object_mp(got), "status.replicas"), 0), 2);
    /* The spec part: no status in the new object does not remove the stored one. */
    must(eval_update(f->s, object_ref(both), TXN_PART_SPEC, 0, NULL, &f->err), &f->err);
    got = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(mp_int(mp_path(object_mp(got), "spec.replicas"), 0), 5);
    assert_int_equal(mp_int(mp_path(object_mp(got), "status.replicas"), 0), 2);
    /* All: as given. */
    must(eval_update(f->s, object_ref(both), TXN_PART_ALL, 0, NULL, &f->err), &f->err);
    got = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(mp_int(mp_path(object_mp(got), "status.replicas"), 0), 0);
    object_unref(both);
    object_unref(with_status);
    object_unref((struct object *)o);
}

static void immutable_metadata_stays(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = object_ref(tip_find(f, KIND_DEPLOYMENT, "default", "web"));
    must(eval_update(f->s, edited(o, forge_metadata), TXN_PART_ALL, 0, NULL, &f->err), &f->err);
    const struct object *got = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_true(str_eq(got->uid, o->uid));
    assert_int_equal(object_created_ms(got), object_created_ms(o));
    assert_int_equal(got->generation, 1);
    assert_true(str_is(object_label(got, "x"), "y"));
    object_unref((struct object *)o);
}

static void an_update_that_changes_nothing_writes_nothing(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    size_t bytes = store_batch_bytes(f->s);
    struct txn_result result;
    must(eval_update(f->s, object_ref(o), TXN_PART_SPEC, 0, &result, &f->err), &f->err);
    assert_true(result.unchanged);
    assert_int_equal(result.revision, 1);
    assert_int_equal(store_batch_bytes(f->s), bytes);
    unsigned count;
    assert_null(store_last_changes(f->s, &count));
    assert_int_equal(count, 0);
}

static void preconditions_name_what_is_there(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, yaml_object(DEPLOYMENT), &f->err), &f->err);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_int_equal(eval_update(f->s, edited(o, set_label), TXN_PART_SPEC, 9, NULL, &f->err), ERR_CONFLICT);
    assert_non_null(strstr(f->err.message, "resourceVersion is 1"));
    must(eval_update(f->s, edited(o, set_label), TXN_PART_SPEC, 1, NULL, &f->err), &f->err);
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    txn_delete(&t, tip_find(f, KIND_DEPLOYMENT, "default", "web"))->if_uid = STR("another");
    assert_int_equal(store_eval(f->s, &t, &result, &f->err), ERR_CONFLICT);
    txn_reset(&t);
    txn_check(&t, kind_by_id(KIND_DEPLOYMENT), STR("default"), STR("web"), UINT64_MAX);
    assert_int_equal(store_eval(f->s, &t, &result, &f->err), ERR_EXISTS);
    txn_reset(&t);
    txn_check(&t, kind_by_id(KIND_DEPLOYMENT), STR("default"), STR("web"), 2);
    txn_check(&t, kind_by_id(KIND_NODE), STR_NONE, STR("n1"), UINT64_MAX);
    assert_int_equal(store_eval(f->s, &t, &result, &f->err), 0);
    assert_true(result.unchanged);
    txn_close(&t);
}

static void a_refused_transaction_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, pod("default", "a", "n1"), &f->err), &f->err);
    must(eval_create(f->s, pod("default", "b", NULL), &f->err), &f->err);
    struct view *before = view_fork(store_tip(f->s));
    size_t bytes = store_batch_bytes(f->s);
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    const struct object *a = tip_find(f, KIND_POD, "default", "a");
    txn_delete(&t, a);
    txn_create(&t, pod("default", "a", "n2"));
    txn_update(&t, edited(tip_find(f, KIND_POD, "default", "b"), set_label), TXN_PART_SPEC, 0);
    txn_create(&t, pod("default", "c", NULL));
    txn_delete(&t, tip_find(f, KIND_POD, "default", "b"));
    txn_create(&t, pod("default", "c", NULL)); /* refused here */
    assert_int_equal(store_eval(f->s, &t, &result, &f->err), ERR_EXISTS);
    txn_close(&t);
    assert_views_equal(before, store_tip(f->s));
    assert_int_equal(store_batch_bytes(f->s), bytes);
    view_unref(before);
}

static void several_operations_on_one_key_make_one_change(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, pod("default", "a", "n1"), &f->err), &f->err);
    const struct object *a = object_ref(tip_find(f, KIND_POD, "default", "a"));
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    txn_delete(&t, a);
    txn_create(&t, pod("default", "a", "n2"));
    struct object *again = pod("default", "a", "n2");
    struct object *labelled = edited(again, set_label);
    object_unref(again);
    txn_update(&t, labelled, TXN_PART_SPEC, 0);
    txn_create(&t, pod("default", "b", NULL));
    struct object *b = pod("default", "b", NULL);
    txn_delete(&t, b);
    object_unref(b);
    must(store_eval(f->s, &t, &result, &f->err), &f->err);
    txn_close(&t);
    unsigned count;
    const struct change *c = store_last_changes(f->s, &count);
    assert_int_equal(count, 1); /* b came and went */
    assert_ptr_equal(c[0].old, a);
    assert_ptr_equal(c[0].new, tip_find(f, KIND_POD, "default", "a"));
    assert_true(str_is(object_label(c[0].new, "x"), "y"));
    assert_false(str_eq(c[0].new->uid, a->uid));
    assert_int_equal(c[0].new->revision, 2);
    object_unref((struct object *)a);
}

static void a_repeat_is_answered_with_the_first_revision(void **state)
{
    struct fixture *f = *state;
    uint8_t id[TXN_ID_SIZE] = {1, 2, 3};
    struct txn t;
    struct txn_result result;
    for (unsigned i = 0; i < 3; i++) {
        txn_init(&t, "test");
        txn_set_id(&t, id);
        txn_create(&t, pod("default", "a", NULL));
        must(store_eval(f->s, &t, &result, &f->err), &f->err);
        assert_int_equal(result.revision, 1);
        assert_int_equal(result.repeated, i > 0);
        txn_close(&t);
        must(eval_create(f->s,
                         config_map("default",
                                    i == 0   ? "c1"
                                    : i == 1 ? "c2"
                                             : "c3",
                                    "k", "v"),
                         &f->err),
             &f->err);
    }
    uint64_t revision;
    assert_true(store_find_txn(f->s, id, &revision));
    assert_int_equal(revision, 1);
    store_tip_drop(f->s);
    assert_false(store_find_txn(f->s, id, &revision)); /* it was never committed */
}

static void begin_deletion(struct arena *a, struct value *doc)
{
    value_set(a, value_get(doc, "metadata"), "deletionTimestamp", value_cstr(a, "2026-01-01T00:00:30Z"));
}
static void grace_30(struct arena *a, struct value *doc)
{
    begin_deletion(a, doc);
    value_set(a, value_get(doc, "metadata"), "deletionGracePeriodSeconds", value_int(a, 30));
}
static void add_finalizer(struct arena *a, struct value *doc)
{
    value_append(a, value_ensure_list(a, value_get(doc, "metadata"), "finalizers"), value_cstr(a, "x.io/f"));
}
static void drop_finalizers(struct arena *a, struct value *doc)
{
    (void)a;
    value_remove(value_get(doc, "metadata"), "finalizers");
}
static void undelete(struct arena *a, struct value *doc)
{
    set_label(a, doc);
    value_remove(value_get(doc, "metadata"), "deletionTimestamp");
    value_remove(value_get(doc, "metadata"), "deletionGracePeriodSeconds");
}

static void emptying_the_finalizers_of_a_deleted_object_deletes_it(void **state)
{
    struct fixture *f = *state;
    struct object *plain = yaml_object(DEPLOYMENT);
    must(eval_create(f->s, edited(plain, add_finalizer), &f->err), &f->err);
    object_unref(plain);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    must(eval_update(f->s, edited(o, begin_deletion), TXN_PART_ALL, 0, NULL, &f->err), &f->err);
    o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    assert_true(o->deleting);
    assert_int_equal(o->generation, 2);
    must(eval_update(f->s, edited(o, drop_finalizers), TXN_PART_SPEC, 0, NULL, &f->err), &f->err);
    assert_null(tip_find(f, KIND_DEPLOYMENT, "default", "web"));
    unsigned count;
    const struct change *c = store_last_changes(f->s, &count);
    assert_int_equal(count, 1);
    assert_non_null(c[0].old);
    assert_null(c[0].new);
}

static void a_pod_in_its_grace_period_stays_until_its_agent_deletes_it(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, pod("default", "a", "n1"), &f->err), &f->err);
    must(eval_update(f->s, edited(tip_find(f, KIND_POD, "default", "a"), grace_30), TXN_PART_ALL, 0, NULL, &f->err),
         &f->err);
    must(eval_update(f->s, edited(tip_find(f, KIND_POD, "default", "a"), set_label), TXN_PART_SPEC, 0, NULL, &f->err),
         &f->err);
    assert_true(tip_find(f, KIND_POD, "default", "a")->deleting);
    must(
        eval_update(f->s, edited(tip_find(f, KIND_POD, "default", "a"), add_finalizer), TXN_PART_ALL, 0, NULL, &f->err),
        &f->err);
    must(eval_update(f->s, edited(tip_find(f, KIND_POD, "default", "a"), drop_finalizers), TXN_PART_ALL, 0, NULL,
                     &f->err),
         &f->err);
    assert_non_null(tip_find(f, KIND_POD, "default", "a"));
    must(eval_delete(f->s, tip_find(f, KIND_POD, "default", "a"), &f->err), &f->err);
    assert_null(tip_find(f, KIND_POD, "default", "a"));
}

static void a_deletion_is_not_taken_back(void **state)
{
    struct fixture *f = *state;
    must(eval_create(f->s, pod("default", "a", "n1"), &f->err), &f->err);
    must(eval_update(f->s, edited(tip_find(f, KIND_POD, "default", "a"), grace_30), TXN_PART_ALL, 0, NULL, &f->err),
         &f->err);
    must(eval_update(f->s, edited(tip_find(f, KIND_POD, "default", "a"), undelete), TXN_PART_ALL, 0, NULL, &f->err),
         &f->err);
    const struct object *o = tip_find(f, KIND_POD, "default", "a");
    assert_true(o->deleting);
    assert_int_equal(mp_int(mp_path(object_mp(o), "metadata.deletionGracePeriodSeconds"), 0), 30);
    assert_true(str_is(object_label(o, "x"), "y"));
}

static void too_many_operations_are_refused(void **state)
{
    struct fixture *f = *state;
    struct txn t;
    struct txn_result result;
    txn_init(&t, "test");
    for (unsigned i = 0; i <= TXN_OPS_MAX; i++) {
        txn_check(&t, kind_by_id(KIND_POD), STR("default"), STR("a"), UINT64_MAX);
    }
    assert_int_equal(store_eval(f->s, &t, &result, &f->err), ERR_TOO_LARGE);
    t.count--; /* one fewer passes */
    assert_int_equal(store_eval(f->s, &t, &result, &f->err), 0);
    txn_close(&t);
}

/* Names are also made of names: the store looks once more. */
static void a_name_that_may_be_no_key_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const odd[] = {"a/b", "..", "a b", "a\nb", "50%"};
    char longest[255];
    memset(longest, 'a', sizeof longest);
    longest[254] = '\0';
    for (unsigned i = 0; i <= ARRAY_SIZE(odd); i++) {
        CLEANUP_ARENA struct arena a;
        struct txn t;
        struct txn_result result;
        arena_init(&a);
        txn_init(&t, "test");
        struct value *doc = value_map(&a), *meta = value_map(&a);
        value_set(&a, meta, "name", value_cstr(&a, i == 0 ? longest : odd[i - 1]));
        value_set(&a, meta, "namespace", value_cstr(&a, "default"));
        value_set(&a, doc, "kind", value_cstr(&a, "ConfigMap"));
        value_set(&a, doc, "metadata", meta);
        must(txn_create_value(&t, kind_by_id(KIND_CONFIGMAP), doc, &f->err), &f->err);
        assert_int_equal(store_eval(f->s, &t, &result, &f->err), ERR_INVALID);
        assert_string_equal(f->err.field, "metadata.name");
        txn_close(&t);
    }
    assert_int_equal(view_count(store_tip(f->s), NULL), 0);
    longest[253] = '\0';
    must(eval_create(f->s, config_map("default", longest, "k", "v"), &f->err), &f->err);
}

static void set_one_replica(struct arena *a, struct value *doc)
{
    value_set(a, value_ensure_map(a, doc, "status"), "replicas", value_int(a, 1));
}

/* As a newer program, or a damaged one, may have written it: no member is lost, and none is a reason to stop. */
static void what_the_tables_do_not_know_is_carried_through(void **state)
{
    struct fixture *f = *state;
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    struct object *plain = yaml_object(DEPLOYMENT), *strange = NULL;
    struct value *doc = object_to_value(&a, plain);
    object_unref(plain);
    value_set(&a, doc, "newer", value_cstr(&a, "kept"));
    value_set(&a, value_get(doc, "metadata"), "shard", value_int(&a, 7));
    value_set(&a, value_get(doc, "metadata"), "annotations", value_int(&a, 1));        /* of a wrong type */
    value_set(&a, value_path(doc, "spec.template"), "spec", value_cstr(&a, "no map")); /* a second one */
    must(object_from_value(kind_by_id(KIND_DEPLOYMENT), doc, 0, &strange, &f->err), &f->err);
    must(eval_create(f->s, strange, &f->err), &f->err);
    const struct object *o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    must(eval_update(f->s, edited(o, set_label), TXN_PART_SPEC, 0, NULL, &f->err), &f->err);
    o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    must(eval_update(f->s, edited(o, set_one_replica), TXN_PART_STATUS, 0, NULL, &f->err), &f->err);
    o = tip_find(f, KIND_DEPLOYMENT, "default", "web");
    struct mp m = object_mp(o);
    assert_true(str_is(mp_str(mp_get(m, "newer")), "kept"));
    assert_int_equal(mp_int(mp_path(m, "metadata.shard"), 0), 7);
    assert_int_equal(mp_int(mp_path(m, "metadata.annotations"), 0), 1);
    assert_true(str_is(mp_str(mp_path(m, "spec.template.spec")), "no map"));
    assert_true(str_is(mp_str(mp_path(m, "metadata.labels.x")), "y"));
    assert_int_equal(mp_int(mp_path(m, "status.replicas"), 0), 1);
}

static void a_transaction_can_be_read_as_text(void **state)
{
    struct fixture *f = *state;
    (void)f;
    struct txn t;
    txn_init(&t, "test");
    txn_create(&t, config_map("default", "c", "k", "v"));
    struct object *o = config_map("default", "d", "k", "v");
    txn_delete(&t, o);
    object_unref(o);
    CLEANUP_BUF struct buf text = BUF_INIT;
    txn_write_text(&text, &t);
    assert_string_equal(buf_cstr(&text),
                        "create configmaps default/c data={\"k\":\"v\"}\ndelete configmaps default/d\n");
    txn_close(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_created_object_gets_uid_time_generation_and_revision),
        TEST(a_create_of_what_exists_is_refused_by_name),
        TEST(an_update_or_delete_of_what_is_not_there_is_not_found),
        TEST(generation_counts_changes_of_the_spec_only),
        TEST(documents_that_the_caller_has_decoded_are_not_decoded_again),
        TEST(documents_of_another_version_are_not_believed),
        TEST(parts_keep_what_is_not_theirs),
        TEST(immutable_metadata_stays),
        TEST(an_update_that_changes_nothing_writes_nothing),
        TEST(preconditions_name_what_is_there),
        TEST(a_refused_transaction_leaves_no_trace),
        TEST(several_operations_on_one_key_make_one_change),
        TEST(a_repeat_is_answered_with_the_first_revision),
        TEST(emptying_the_finalizers_of_a_deleted_object_deletes_it),
        TEST(a_pod_in_its_grace_period_stays_until_its_agent_deletes_it),
        TEST(a_deletion_is_not_taken_back),
        TEST(too_many_operations_are_refused),
        TEST(a_name_that_may_be_no_key_is_refused),
        TEST(what_the_tables_do_not_know_is_carried_through),
        TEST(a_transaction_can_be_read_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
