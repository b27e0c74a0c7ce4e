/* Typed requests and answers in the masters' language: what a front of another language hands to the leader, and what
 * it hears. Whatever is written is read as the same. */
#include "tests/unit/raft-store_cluster.h"

#include "master/front/verbs.h"
#include "proto/model/value.h"
#include "proto/schema/release.h"

struct world {
    struct cluster c;
    struct master m;
    struct arena arena;
    uint64_t state;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    cluster_start(&w->c, 1, 3);
    w->m.replica = await_leader(&w->c)->replica;
    store_set_level(replica_store(w->m.replica), RELEASE_LEVEL_CARRIED);
    arena_init(&w->arena);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    arena_close(&w->arena);
    cluster_close(&w->c);
    free(w);
    return 0;
}

/* ---- Requests by chance ---- */

static uint64_t chance(struct world *w, uint64_t n)
{
    w->state = w->state * 6364136223846793005u + 1442695040888963407u;
    return (w->state >> 33) % n;
}

static struct str any_text(struct world *w)
{
    static const char *const texts[] = {"a", "some-name", "x=y,!z", "sp ace \"quoted\"", "\xc3\xa9t\xc3\xa9"};
    return str_of(texts[chance(w, ARRAY_SIZE(texts))]);
}

static struct str text_or_none(struct world *w)
{
    return chance(w, 2) == 0 ? STR_NONE : any_text(w);
}

static const struct kind *any_kind(struct world *w)
{
    const struct kind *k;
    do {
        k = kinds_at((unsigned)chance(w, kinds_count()));
    } while (kind_by_name(str_of(k->name)) == NULL);
    return k;
}

static struct value *any_document(struct world *w, unsigned depth)
{
    struct arena *a = &w->arena;
    switch (chance(w, depth == 0 ? 4 : 6)) {
    case 0:
        return value_int(a, (int64_t)chance(w, 1u << 20) - 1000);
    case 1:
        return value_bool(a, chance(w, 2) == 0);
    case 2:
        return value_null(a);
    case 3:
        return value_str(a, any_text(w));
    case 4: {
        struct value *list = value_list(a);
        for (uint64_t n = chance(w, 4); n > 0; n--) {
            value_append(a, list, any_document(w, depth - 1));
        }
        return list;
    }
    default: {
        struct value *map = value_map(a);
        for (uint64_t n = chance(w, 4); n > 0; n--) {
            value_set(a, map, (const char *[]){"one", "two", "three", "four"}[n], any_document(w, depth - 1));
        }
        return map;
    }
    }
}

static struct value *any_map(struct world *w)
{
    struct value *map = value_map(&w->arena);
    value_set(&w->arena, map, "spec", any_document(w, 3));
    return map;
}

static struct api_write any_write(struct world *w)
{
    static const uint8_t id[TXN_ID_SIZE] = {9, 8, 7, 0, 255};
    return (struct api_write){.id = chance(w, 2) == 0 ? NULL : id,
                              .dry_run = chance(w, 2) == 0,
                              .lenient = chance(w, 2) == 0,
                              .manager = chance(w, 2) == 0 ? STR_NONE : any_text(w)};
}

static void without_document(struct api_write *how)
{
    how->lenient = false;
    how->manager = STR_NONE;
}

static struct api_target any_target(struct world *w)
{
    const struct kind *k = any_kind(w);
    return (struct api_target){k, k->namespaced ? any_text(w) : STR_NONE, any_text(w)};
}

static struct api_selection any_selection(struct world *w)
{
    const struct kind *k = any_kind(w);
    return (struct api_selection){k, k->namespaced ? text_or_none(w) : STR_NONE, text_or_none(w), text_or_none(w)};
}

static struct deletion_options any_deletion(struct world *w, bool of_one)
{
    return (struct deletion_options){
        .grace_s = (int64_t)chance(w, 4) - 1,
        .policy = (enum deletion_policy)chance(w, DELETION_ORPHAN + 1),
        .if_uid = of_one ? text_or_none(w) : STR_NONE,
        .if_revision = of_one ? chance(w, 3) : 0,
    };
}

static const struct api_part *any_part(struct world *w)
{
    static const char *const names[] = {"", "status", "scale", "ephemeralcontainers"};
    return api_part_named(str_of(names[chance(w, ARRAY_SIZE(names))]));
}

static struct api_txn any_txn(struct world *w)
{
    unsigned count = 1 + (unsigned)chance(w, 5);
    struct api_op *ops = arena_alloc(&w->arena, count * sizeof *ops);
    for (unsigned i = 0; i < count; i++) {
        ops[i] = (struct api_op){
            .type = (enum api_op_type)chance(w, API_OP_CHECK + 1),
            .if_revision = chance(w, 3),
            .if_uid = text_or_none(w),
        };
        if (ops[i].type == API_OP_CREATE || ops[i].type == API_OP_UPDATE) {
            ops[i].object = any_map(w);
            ops[i].part = ops[i].type == API_OP_UPDATE && chance(w, 2) == 0 ? TXN_PART_STATUS : TXN_PART_SPEC;
        } else {
            ops[i].of = any_target(w);
            ops[i].absent = ops[i].type == API_OP_CHECK && chance(w, 2) == 0;
        }
    }
    return (struct api_txn){any_write(w), ops, count};
}

static struct value *any_documents(struct world *w)
{
    struct value *list = value_list(&w->arena);
    for (uint64_t n = 1 + chance(w, 4); n > 0; n--) {
        value_append(&w->arena, list, any_map(w));
    }
    return list;
}

static struct api_access any_access(struct world *w)
{
    struct api_access q = {.what = {.verb = any_text(w), .ns = text_or_none(w), .name = text_or_none(w)}};
    if (chance(w, 3) == 0) {
        q.what.path = any_text(w);
    } else {
        q.what.resource = any_text(w);
        q.what.group = text_or_none(w);
        q.what.sub = text_or_none(w);
    }
    q.user = text_or_none(w);
    for (uint64_t n = chance(w, 3); n > 0; n--) {
        q.groups[q.groups_count++] = any_text(w);
    }
    q.other = q.user.n > 0 || q.groups_count > 0;
    q.local = q.other && q.what.ns.n > 0 && q.what.resource.n > 0 && chance(w, 2) == 0;
    return q;
}

static struct api_request any_request(struct world *w, enum api_verb verb)
{
    struct api_request q = {.verb = verb};
    switch (verb) {
    case API_GET:
        q.get = any_target(w);
        q.part = chance(w, 2) == 0 ? NULL : api_part_named(STR("status"));
        break;
    case API_LIST:
        q.list = (struct api_list){any_selection(w), 1 + (int64_t)chance(w, 1000), text_or_none(w), .at = 0};
        break;
    case API_WATCH:
        q.watch = (struct api_watch){.of = any_selection(w), .revision = (int64_t)chance(w, 4) - 1};
        break;
    case API_CREATE:
        q.create = (struct api_create){any_write(w), any_map(w)};
        break;
    case API_UPDATE:
        q.update = (struct api_update){any_write(w), any_part(w), any_map(w), chance(w, 2) == 0};
        break;
    case API_PATCH:
        q.patch = (struct api_patch){.how = any_write(w),
                                     .of = any_target(w),
                                     .part = any_part(w),
                                     .api_version = text_or_none(w),
                                     .type = (enum patch_type)chance(w, PATCH_JSON + 1),
                                     .patch = any_map(w),
                                     .if_revision = chance(w, 3),
                                     .if_uid = text_or_none(w)};
        break;
    case API_APPLY:
        q.apply = (struct api_apply){any_write(w), any_documents(w), true, chance(w, 2) == 0,
                                     api_part_named(chance(w, 2) == 0 ? STR("scale") : STR("status"))};
        if (chance(w, 2) == 0) {
            q.apply.server_side = chance(w, 2) == 0;
            q.apply.part = api_part_named(STR(""));
        }
        break;
    case API_DELETE:
        q.delete = (struct api_delete){any_write(w), any_target(w), any_deletion(w, true)};
        without_document(&q.delete.how);
        break;
    case API_DELETECOLLECTION:
        q.deletecollection = (struct api_deletecollection){any_write(w), any_selection(w), any_deletion(w, false)};
        without_document(&q.deletecollection.how);
        break;
    case API_EVICT:
        q.evict = (struct api_evict){any_write(w), any_text(w), any_text(w), any_deletion(w, true)};
        without_document(&q.evict.how);
        break;
    case API_BIND:
        q.bind = (struct api_bind){any_write(w), any_text(w), any_text(w), text_or_none(w), any_text(w)};
        without_document(&q.bind.how);
        break;
    case API_TXN:
        q.txn = any_txn(w);
        break;
    case API_TOKEN:
        q.token = (struct api_token){.role = chance(w, 2) == 0 ? PKI_ROLE_MASTER : PKI_ROLE_NODE,
                                     .ttl_s = (int64_t)chance(w, 3) * 43200,
                                     .uses = (int64_t)chance(w, 3),
                                     .node_names = text_or_none(w),
                                     .replaces = chance(w, 3),
                                     .even_reachable = chance(w, 2) == 0};
        break;
    case API_METRICS:
        q.metrics = (struct api_metrics){.of = any_selection(w),
                                         .name = text_or_none(w),
                                         .limit = 1 + (int64_t)chance(w, 499),
                                         .token = text_or_none(w)};
        break;
    case API_ACCESS:
        q.access = any_access(w);
        break;
    case API_ACCOUNT_TOKEN:
        q.account_token = (struct api_account_token){.ns = any_text(w),
                                                     .name = any_text(w),
                                                     .audiences = {any_text(w), any_text(w)},
                                                     .audiences_count = (unsigned)chance(w, 3),
                                                     .expiration_s = (int64_t)chance(w, 5000),
                                                     .bound_kind = text_or_none(w),
                                                     .bound_name = text_or_none(w),
                                                     .bound_uid = text_or_none(w)};
        break;
    case API_TOKEN_REVIEW:
        q.token_review = (struct api_token_review){
            .token = any_text(w), .audiences = {any_text(w), any_text(w)}, .audiences_count = (unsigned)chance(w, 3)};
        break;
    case API_RULES:
        q.rules = (struct api_rules){text_or_none(w)};
        break;
    case API_WHOAMI:
    case API_CLUSTER:
    case API_CERT_STATUS:
        break;
    }
    return q;
}

/* ---- Alike? ---- */

static void same_text(struct str a, struct str b)
{
    if (!str_eq(a, b)) {
        fail_msg("\"%.*s\" became \"%.*s\"", STR_ARG(a), STR_ARG(b));
    }
}

static void same_write(const struct api_write *a, const struct api_write *b)
{
    assert_int_equal(a->id == NULL, b->id == NULL);
    assert_true(a->id == NULL || memcmp(a->id, b->id, TXN_ID_SIZE) == 0);
    assert_int_equal(a->dry_run, b->dry_run);
    assert_int_equal(a->lenient, b->lenient);
    same_text(a->manager, b->manager);
}

static void same_target(const struct api_target *a, const struct api_target *b)
{
    assert_ptr_equal(a->kind, b->kind);
    same_text(a->ns, b->ns);
    same_text(a->name, b->name);
}

static void same_selection(const struct api_selection *a, const struct api_selection *b)
{
    assert_ptr_equal(a->kind, b->kind);
    same_text(a->ns, b->ns);
    same_text(a->labels, b->labels);
    same_text(a->fields, b->fields);
}

static void same_deletion(const struct deletion_options *a, const struct deletion_options *b)
{
    assert_int_equal(a->grace_s, b->grace_s);
    assert_int_equal(a->policy, b->policy);
    assert_int_equal(a->if_revision, b->if_revision);
    same_text(a->if_uid, b->if_uid);
}

static void same_op(const struct api_op *a, const struct api_op *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->part, b->part);
    assert_int_equal(a->if_revision, b->if_revision);
    assert_int_equal(a->absent, b->absent);
    same_text(a->if_uid, b->if_uid);
    assert_int_equal(a->object == NULL, b->object == NULL);
    if (a->object == NULL) {
        same_target(&a->of, &b->of);
    } else {
        assert_true(value_equal(a->object, b->object));
    }
}

static void same_request(const struct api_request *a, const struct api_request *b)
{
    assert_int_equal(a->verb, b->verb);
    switch (a->verb) {
    case API_GET:
        same_target(&a->get, &b->get);
        assert_ptr_equal(a->part, b->part);
        break;
    case API_LIST:
        same_selection(&a->list.of, &b->list.of);
        assert_int_equal(a->list.limit, b->list.limit);
        same_text(a->list.token, b->list.token);
        break;
    case API_WATCH:
        same_selection(&a->watch.of, &b->watch.of);
        assert_int_equal(a->watch.revision, b->watch.revision);
        break;
    case API_CREATE:
        same_write(&a->create.how, &b->create.how);
        assert_true(value_equal(a->create.object, b->create.object));
        break;
    case API_UPDATE:
        same_write(&a->update.how, &b->update.how);
        assert_ptr_equal(a->update.part, b->update.part);
        assert_true(value_equal(a->update.object, b->update.object));
        assert_int_equal(a->update.is_put, b->update.is_put);
        break;
    case API_PATCH:
        same_write(&a->patch.how, &b->patch.how);
        same_target(&a->patch.of, &b->patch.of);
        assert_ptr_equal(a->patch.part, b->patch.part);
        same_text(a->patch.api_version, b->patch.api_version);
        assert_int_equal(a->patch.type, b->patch.type);
        assert_int_equal(a->patch.if_revision, b->patch.if_revision);
        same_text(a->patch.if_uid, b->patch.if_uid);
        assert_true(value_equal(a->patch.patch, b->patch.patch));
        break;
    case API_APPLY:
        same_write(&a->apply.how, &b->apply.how);
        assert_int_equal(a->apply.server_side, b->apply.server_side);
        assert_int_equal(a->apply.force, b->apply.force);
        assert_ptr_equal(a->apply.part, b->apply.part);
        assert_true(value_equal(a->apply.objects, b->apply.objects));
        break;
    case API_DELETE:
        same_write(&a->delete.how, &b->delete.how);
        same_target(&a->delete.of, &b->delete.of);
        same_deletion(&a->delete.options, &b->delete.options);
        break;
    case API_DELETECOLLECTION:
        same_write(&a->deletecollection.how, &b->deletecollection.how);
        same_selection(&a->deletecollection.of, &b->deletecollection.of);
        same_deletion(&a->deletecollection.options, &b->deletecollection.options);
        break;
    case API_EVICT:
        same_write(&a->evict.how, &b->evict.how);
        same_text(a->evict.ns, b->evict.ns);
        same_text(a->evict.name, b->evict.name);
        same_deletion(&a->evict.options, &b->evict.options);
        break;
    case API_BIND:
        same_write(&a->bind.how, &b->bind.how);
        same_text(a->bind.ns, b->bind.ns);
        same_text(a->bind.name, b->bind.name);
        same_text(a->bind.uid, b->bind.uid);
        same_text(a->bind.node, b->bind.node);
        break;
    case API_TXN:
        same_write(&a->txn.how, &b->txn.how);
        assert_int_equal(a->txn.count, b->txn.count);
        for (unsigned i = 0; i < a->txn.count; i++) {
            same_op(&a->txn.ops[i], &b->txn.ops[i]);
        }
        break;
    case API_TOKEN:
        assert_int_equal(a->token.role, b->token.role);
        assert_int_equal(a->token.ttl_s, b->token.ttl_s);
        assert_int_equal(a->token.uses, b->token.uses);
        assert_int_equal(a->token.replaces, b->token.replaces);
        assert_int_equal(a->token.even_reachable, b->token.even_reachable);
        same_text(a->token.node_names, b->token.node_names);
        break;
    case API_METRICS:
        same_selection(&a->metrics.of, &b->metrics.of);
        same_text(a->metrics.name, b->metrics.name);
        same_text(a->metrics.token, b->metrics.token);
        assert_int_equal(a->metrics.limit, b->metrics.limit);
        break;
    case API_ACCESS:
        same_text(a->access.what.verb, b->access.what.verb);
        same_text(a->access.what.group, b->access.what.group);
        same_text(a->access.what.resource, b->access.what.resource);
        same_text(a->access.what.sub, b->access.what.sub);
        same_text(a->access.what.ns, b->access.what.ns);
        same_text(a->access.what.name, b->access.what.name);
        same_text(a->access.what.path, b->access.what.path);
        same_text(a->access.user, b->access.user);
        assert_int_equal(a->access.other, b->access.other);
        assert_int_equal(a->access.local, b->access.local);
        assert_int_equal(a->access.groups_count, b->access.groups_count);
        for (unsigned i = 0; i < a->access.groups_count; i++) {
            same_text(a->access.groups[i], b->access.groups[i]);
        }
        break;
    case API_ACCOUNT_TOKEN:
        same_text(a->account_token.ns, b->account_token.ns);
        same_text(a->account_token.name, b->account_token.name);
        same_text(a->account_token.bound_kind, b->account_token.bound_kind);
        same_text(a->account_token.bound_name, b->account_token.bound_name);
        same_text(a->account_token.bound_uid, b->account_token.bound_uid);
        assert_int_equal(a->account_token.expiration_s, b->account_token.expiration_s);
        assert_int_equal(a->account_token.audiences_count, b->account_token.audiences_count);
        for (unsigned i = 0; i < a->account_token.audiences_count; i++) {
            same_text(a->account_token.audiences[i], b->account_token.audiences[i]);
        }
        break;
    case API_TOKEN_REVIEW:
        same_text(a->token_review.token, b->token_review.token);
        assert_int_equal(a->token_review.audiences_count, b->token_review.audiences_count);
        for (unsigned i = 0; i < a->token_review.audiences_count; i++) {
            same_text(a->token_review.audiences[i], b->token_review.audiences[i]);
        }
        break;
    case API_RULES:
        same_text(a->rules.ns, b->rules.ns);
        break;
    case API_WHOAMI:
    case API_CLUSTER:
    case API_CERT_STATUS:
        break;
    }
}

/* ---- Tests ---- */

/* A master that is asked over msgpack-RPC refuses what the row does not name. */
static void assert_words_of(const struct method *row, struct mp params)
{
    for (struct mp_iter it = mp_iter(params); mp_next(&it);) {
        CLEANUP_BUF struct buf known = BUF_INIT, key = BUF_INIT;
        buf_printf(&known, " %s ", row->params);
        buf_printf(&key, " %.*s ", STR_ARG(it.key));
        if (strstr(buf_cstr(&known), buf_cstr(&key)) == NULL) {
            fail_msg("%s has no parameter%s", row->name, buf_cstr(&key));
        }
    }
}

static void test_each_typed_request_is_read_as_it_was_written(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 500 * API_VERBS; i++) {
        enum api_verb verb = (enum api_verb)(i % API_VERBS);
        struct api_request q = any_request(w, verb), back;
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct error err = {0};
        struct params p;
        verbs_write(&w->m, &b, &q);
        struct mp all = mp_of(b.data, b.size);
        assert_true(mp_valid(all));
        assert_words_of(verbs_row(verb), all);
        params_init(&p, all);
        must(verbs_read(&w->m, &w->arena, verb, &p, &back, &err), &err);
        same_request(&q, &back);
        arena_close(&w->arena);
        arena_init(&w->arena);
    }
}

static void test_a_leader_of_a_former_version_is_told_what_it_knows(void **state)
{
    static const enum api_verb verbs[] = {API_CREATE, API_UPDATE, API_PATCH, API_APPLY, API_TXN};
    struct world *w = *state;
    store_set_level(replica_store(w->m.replica), RELEASE_LEVEL_CARRIED - 1);
    for (unsigned i = 0; i < 100 * ARRAY_SIZE(verbs); i++) {
        struct api_request q = any_request(w, verbs[i % ARRAY_SIZE(verbs)]);
        CLEANUP_BUF struct buf b = BUF_INIT;
        verbs_write(&w->m, &b, &q);
        struct mp all = mp_of(b.data, b.size);
        assert_true(mp_valid(all));
        assert_int_equal(mp_type(mp_get(all, "fieldManager")), MP_NONE);
        assert_int_equal(mp_type(mp_get(all, "force")), MP_NONE);
        assert_int_equal(mp_type(mp_get(all, "apiVersion")), MP_NONE);
        arena_close(&w->arena);
        arena_init(&w->arena);
    }
}

static struct object *pod_named(struct world *w, const char *name)
{
    struct object *o = NULL;
    struct error err = {0};
    struct value *doc = value_map(&w->arena), *metadata = value_map(&w->arena);
    value_set(&w->arena, doc, "apiVersion", value_cstr(&w->arena, "v1"));
    value_set(&w->arena, doc, "kind", value_cstr(&w->arena, "Pod"));
    value_set(&w->arena, doc, "metadata", metadata);
    value_set(&w->arena, metadata, "name", value_cstr(&w->arena, name));
    value_set(&w->arena, metadata, "namespace", value_cstr(&w->arena, "default"));
    must(object_from_value(kind_by_id(KIND_POD), doc, 7, &o, &err), &err);
    return o;
}

static void same_answer(const struct api_answer *a, const struct api_answer *b)
{
    assert_int_equal(a->verb, b->verb);
    assert_int_equal(a->revision, b->revision);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->warnings == NULL, b->warnings == NULL);
    assert_true(a->warnings == NULL || value_equal(a->warnings, b->warnings));
    for (unsigned i = 0; a->items != NULL && i < a->count; i++) {
        assert_int_equal(a->items[i].gone, b->items[i].gone);
        assert_int_equal(a->items[i].object == NULL, b->items[i].object == NULL);
        if (a->items[i].object != NULL) {
            same_text(a->items[i].object->name, b->items[i].object->name);
            assert_int_equal(a->items[i].object->revision, b->items[i].object->revision);
            assert_int_equal(a->items[i].object->hash, b->items[i].object->hash);
        }
        if (a->verb != API_GET) {
            assert_int_equal(a->items[i].done, b->items[i].done);
        }
    }
}

static void check_answer(struct world *w, const struct api_answer *a)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct api_answer back;
    struct error err = {0};
    verbs_write_answer(&b, a);
    struct mp m = mp_of(b.data, b.size);
    assert_true(mp_valid(m));
    must(verbs_read_answer(&w->arena, a->verb, m, &back, &err), &err);
    same_answer(a, &back);
    verbs_answer_close(&back);
}

static void test_each_answer_is_read_as_it_was_written(void **state)
{
    struct world *w = *state;
    CLEANUP_OBJECT struct object *one = pod_named(w, "one"), *two = pod_named(w, "two");
    struct value *warnings = value_list(&w->arena);
    value_append(&w->arena, warnings, value_cstr(&w->arena, "beware"));
    struct api_item created = {one, API_DONE_CREATED, false}, changed = {one, API_DONE_CONFIGURED, false},
                    same = {one, API_DONE_UNCHANGED, false}, gone = {two, API_DONE_DELETED, true};
    check_answer(w, &(struct api_answer){.verb = API_GET, .revision = 7, .items = &same, .count = 1});
    check_answer(w, &(struct api_answer){.verb = API_CREATE, .revision = 7, .items = &created, .count = 1});
    check_answer(w, &(struct api_answer){
                        .verb = API_UPDATE, .revision = 8, .items = &changed, .count = 1, .warnings = warnings});
    check_answer(w,
                 &(struct api_answer){.verb = API_PATCH, .revision = 8, .items = &same, .count = 1, .unchanged = true});
    check_answer(w, &(struct api_answer){.verb = API_PATCH, .revision = 8, .items = &gone, .count = 1});
    check_answer(w, &(struct api_answer){.verb = API_DELETE, .revision = 9, .items = &gone, .count = 1});
    check_answer(w, &(struct api_answer){.verb = API_DELETE, .revision = 9, .items = &changed, .count = 1});
    check_answer(w, &(struct api_answer){.verb = API_EVICT, .revision = 9, .items = &gone, .count = 1});
    check_answer(w, &(struct api_answer){.verb = API_DELETECOLLECTION, .revision = 9, .count = 12});
    struct api_item many[] = {created, changed, same, gone, {NULL, API_DONE_UNCHANGED, true}};
    check_answer(w, &(struct api_answer){.verb = API_APPLY, .revision = 9, .items = many, .count = 3});
    check_answer(w, &(struct api_answer){.verb = API_TXN, .revision = 9, .items = many, .count = 5});
}

static void test_an_answer_of_nonsense_is_refused(void **state)
{
    struct world *w = *state;
    static const char *const nonsense[] = {"\xc0", "\x80", "\x90", "\x81\xa8revision\xa1x", "\x81\xa8revision\xff"};
    for (unsigned i = 0; i < ARRAY_SIZE(nonsense); i++) {
        struct api_answer a;
        struct error err = {0};
        struct mp m = mp_of((const uint8_t *)nonsense[i], strlen(nonsense[i]));
        assert_int_equal(verbs_read_answer(&w->arena, API_CREATE, m, &a, &err), ERR_PROTOCOL);
        assert_int_equal(verbs_read_answer(&w->arena, API_TXN, m, &a, &err), ERR_PROTOCOL);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_typed_request_is_read_as_it_was_written),
        TEST(test_a_leader_of_a_former_version_is_told_what_it_knows),
        TEST(test_each_answer_is_read_as_it_was_written),
        TEST(test_an_answer_of_nonsense_is_refused),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
