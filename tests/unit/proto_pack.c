/* Packed objects: those of one template share their bytes, and nobody who reads one sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/env.h"
#include "proto/facts/pod_state.h"
#include "proto/schema/object.h"
#include "proto/text/text.h"

/* A pod as its node reports it; what is different from pod to pod is given. */
static struct object *pod(const char *name, const char *owner, unsigned n, const char *more)
{
    CLEANUP_ARENA struct arena a;
    struct value **docs;
    unsigned count;
    struct error err = {0};
    arena_init(&a);
    char *text = arena_printf(
        &a,
        "{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default, uid: 6b1c%04x-4f0a-4d7e-8c11-0242ac1%05x,"
        " creationTimestamp: '2026-01-02T03:%02u:%02uZ', labels: {app: web, pod-template-hash: 5d4f8c7b9}, "
        "ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f8c7b9, uid: %s, controller: true, "
        "blockOwnerDeletion: true}]}, spec: {nodeName: node-%05u, restartPolicy: Always, containers: [{name: c, image: "
        "'registry.example.com/team/web:1.25.3', imagePullPolicy: IfNotPresent, command: [/bin/serve, --port, '8080', "
        "--config, /etc/serve/config.yaml], ports: [{containerPort: 8080, protocol: TCP}], env: [{name: STAGE, value: "
        "production}, {name: REGION, value: north}], resources: {requests: {cpu: 100m, memory: 128Mi}, limits: "
        "{memory: 256Mi}}, volumeMounts: [{name: data, mountPath: /var/lib/data}]}], volumes: [{name: data, emptyDir: "
        "{}}]%s}, status: {phase: Running, podIP: 10.128.%u.%u, conditions: [{type: Ready, status: 'True', "
        "lastTransitionTime: '2026-01-02T03:%02u:%02uZ'}, {type: PodScheduled, status: 'True', lastTransitionTime: "
        "'2026-01-02T03:%02u:%02uZ'}], containerStatuses: [{name: c, ready: true, restartCount: 0, image: "
        "'registry.example.com/team/web:1.25.3', imageID: 'sha256:4f1c6a0b2d', containerID: 'reeve://%08x%08x%08x'}]}}",
        name, n % 0xffff, n, n % 60, n % 59, owner, n % 5000, more, n / 250 % 250, n % 250, n % 60, n % 59, n % 60,
        n % 57, n * 2654435761u, n * 40503u, n ^ 0x5bd1e995u);
    struct object *o = NULL;
    if (yaml_read(&a, str_of(text), NULL, &docs, &count, &err) != 0 ||
        kind_check_fields(kind_by_id(KIND_POD), &a, docs[0], 0, &err) != 0 ||
        object_from_value(kind_by_id(KIND_POD), docs[0], n + 1, &o, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return o;
}

static struct object *pack(const struct object *o, const struct object *base)
{
    struct object_packer scratch = {0};
    struct object *packed = object_pack(o, base, &scratch);
    object_packer_close(&scratch);
    return packed;
}

static void assert_same(const struct object *a, const struct object *b)
{
    assert_int_equal(a->body_size, b->body_size);
    assert_true(a->hash == b->hash && a->revision == b->revision && a->kind == b->kind &&
                a->generation == b->generation && a->deleting == b->deleting);
    assert_true(str_eq(a->name, b->name) && str_eq(a->ns, b->ns) && str_eq(a->uid, b->uid) &&
                str_eq(a->owner_uid, b->owner_uid));
    assert_true(str_eq(object_label(a, "app"), object_label(b, "app")));
    assert_true(object_same_spec(a, b) && object_same_but_status(a, b));
    assert_memory_equal(object_body(a), object_body(b), a->body_size);
    /* What else stands in the header, also what will be added to it. */
    struct object x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    x.refs = y.refs;
    x.packed = y.packed;
    x.labels_of_base = y.labels_of_base;
    x.memo = y.memo;
    x.memo_ms = y.memo_ms;
    x.ns = y.ns;
    x.name = y.name;
    x.uid = y.uid;
    x.owner_uid = y.owner_uid;
    x.body_there = y.body_there;
    assert_memory_equal(&x, &y, sizeof x);
}

static void a_packed_pod_is_read_as_a_plain_one(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *base = pod("web-5d4f8c7b9-aaaaa", "rs-1", 1, "");
    CLEANUP_OBJECT struct object *o = pod("web-5d4f8c7b9-bcdef", "rs-1", 77777, "");
    assert_true(pod_ready(o, NULL));
    CLEANUP_OBJECT struct object *packed = pack(o, base);
    assert_non_null(packed);
    assert_true(packed->packed && str_is(packed->name, "web-5d4f8c7b9-bcdef") && str_is(packed->owner_uid, "rs-1"));
    assert_true(pod_ready(packed, NULL) && str_is(object_label(packed, "app"), "web"));
    assert_null(packed->body_there); /* none of this needed the body */
    CLEANUP_BUF struct buf wire = BUF_INIT, plain = BUF_INIT;
    object_write_wire(&wire, packed);
    object_write_wire(&plain, o);
    assert_true(wire.size == plain.size);
    assert_memory_equal(wire.data, plain.data, wire.size);
    buf_reset(&wire);
    buf_reset(&plain);
    object_write_json(&wire, packed, 7);
    object_write_json(&plain, o, 7);
    object_write_json_metadata(&wire, packed, 7, true);
    object_write_json_metadata(&plain, o, 7, true);
    assert_true(str_eq(buf_str(&wire), buf_str(&plain)));
    CLEANUP_OBJECT struct object *whole = object_unpack(packed);
    assert_null(packed->body_there); /* nor did the wire, JSON, or another one that is plain */
    assert_same(whole, o);
    assert_same(packed, o);
    assert_non_null(packed->body_there);
    CLEANUP_OBJECT struct object *again = object_pack_again(packed);
    assert_null(again->body_there);
    assert_same(again, o);
    CLEANUP_OBJECT struct object *back = object_unpack(again);
    assert_false(back->packed);
    assert_same(back, o);
    CLEANUP_OBJECT struct object *later = object_with_revision(again, 99);
    assert_true(later->revision == 99 && later->hash == o->hash && again->revision == o->revision);
}

static void a_pod_of_a_template_keeps_few_bytes_of_its_own(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *base = pod("web-5d4f8c7b9-aaaaa", "rs-1", 1, "");
    uint64_t kept = 0, whole = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "web-5d4f8c7b9-%c%c%c%u", 'b' + i % 20, 'c' + i / 7 % 20, 'd' + i / 3 % 20, i);
        CLEANUP_OBJECT struct object *o = pod(name, "rs-1", 3 + i * 71, "");
        CLEANUP_OBJECT struct object *packed = pack(o, base);
        assert_non_null(packed);
        kept += object_kept_bytes(packed);
        whole += object_kept_bytes(o);
    }
    print_message("%u bytes of a pod are its own, of %u\n", (unsigned)(kept / 1000), (unsigned)(whole / 1000));
    assert_in_range(kept / 1000, 1, sizeof(struct object) + 300);
}

static void who_goes_first_changes_nothing(void **state)
{
    (void)state;
    struct object *base = pod("web-a", "rs-1", 1, ""), *o = pod("web-b", "rs-1", 2, "");
    struct object *one = pack(o, base), *two = pack(o, base), *again = object_pack_again(one);
    assert_false(object_base_is_its_own(one));
    object_unref(base);
    object_unref(two);
    object_body(one);
    object_unref(one);
    assert_true(object_base_is_its_own(again)); /* that base is nobody else's now */
    assert_same(again, o);
    assert_true(str_is(again->ns, "default") && str_is(again->owner_uid, "rs-1"));
    object_unref(again);
    object_unref(o);
}

static void a_template_that_has_changed_is_found_again(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *base = pod("web-a", "rs-1", 1, "");
    CLEANUP_OBJECT struct object *more =
        pod("web-b", "rs-1", 2, ", schedulerName: other, tolerations: [{key: a, operator: Exists}], hostname: web-b");
    struct object *ways[] = {pack(more, base), pack(base, more)};
    const struct object *plain[] = {more, base};
    for (unsigned i = 0; i < 2; i++) {
        assert_non_null(ways[i]);
        assert_in_range(object_kept_bytes(ways[i]), 1, sizeof(struct object) + 420);
        assert_same(ways[i], plain[i]);
        object_unref(ways[i]);
    }
}

static void what_is_not_alike_stays_plain(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *base = pod("web-a", "rs-1", 1, ""), *other = pod("web-b", "rs-2", 2, "");
    assert_null(pack(base, base));
    assert_null(pack(other, base)); /* another owner */
    CLEANUP_OBJECT struct object *o = pod("web-c", "rs-1", 3, "");
    CLEANUP_OBJECT struct object *packed = pack(o, base);
    assert_null(pack(packed, base)); /* no chains */
    assert_null(pack(base, packed));
    char body[2000];
    struct object *maps[2];
    for (unsigned i = 0; i < 2; i++) {
        snprintf(body, sizeof body, "{kind: ConfigMap, metadata: {name: m%u, namespace: default}, data: {k: '", i);
        for (size_t n = strlen(body); n < 1500; n++) {
            body[n] = (char)('a' + (n * (i + 7) * 2654435761u >> 11) % 26);
            body[n + 1] = '\0';
        }
        strcat(body, "'}}");
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct value **docs;
        unsigned count;
        struct error err = {0};
        assert_int_equal(yaml_read(&a, str_of(body), NULL, &docs, &count, &err), 0);
        assert_int_equal(object_from_value(kind_by_id(KIND_CONFIGMAP), docs[0], 1, &maps[i], &err), 0);
    }
    assert_null(pack(maps[0], maps[1]));
    object_unref(maps[0]);
    object_unref(maps[1]);
}

static void secrets_are_never_packed(void **state)
{
    (void)state;
    struct object *secrets[2];
    for (unsigned i = 0; i < 2; i++) {
        CLEANUP_ARENA struct arena a;
        arena_init(&a);
        struct value *doc = value_map(&a), *meta = value_ensure_map(&a, doc, "metadata"),
                     *data = value_ensure_map(&a, doc, "stringData");
        struct error err = {0};
        value_set(&a, doc, "kind", value_cstr(&a, "Secret"));
        value_set(&a, meta, "name", value_cstr(&a, i == 0 ? "a" : "b"));
        value_set(&a, data, "k", value_cstr(&a, arena_printf(&a, "%0500d", 7)));
        assert_int_equal(object_from_value(kind_by_id(KIND_SECRET), doc, 1, &secrets[i], &err), 0);
    }
    assert_null(pack(secrets[0], secrets[1]));
    object_unref(secrets[0]);
    object_unref(secrets[1]);
}

/* Maps with ten thousand members that are all there, but in another size: a search for each would take for ever. */
static void hostile_bodies_take_no_more_time_than_their_size(void **state)
{
    (void)state;
    struct object *maps[2];
    for (unsigned i = 0; i < 2; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        unsigned count = 50000 + i;
        mp_write_map(&b, 4);
        mp_write_key_str(&b, "apiVersion", STR("v1"));
        mp_write_key_str(&b, "kind", STR("ConfigMap"));
        mp_write_cstr(&b, "metadata");
        mp_write_map(&b, 2);
        mp_write_key_str(&b, "name", STR("m"));
        mp_write_key_str(&b, "namespace", STR("default"));
        mp_write_cstr(&b, "data");
        mp_write_map(&b, count);
        for (unsigned n = 0; n < count; n++) {
            char key[16];
            snprintf(key, sizeof key, "%05u", i == 0 ? n : count - n);
            mp_write_key_str(&b, key, STR("v"));
        }
        struct error err = {0};
        assert_int_equal(object_from_body(kind_by_id(KIND_CONFIGMAP), b.data, b.size, 1, &maps[i], &err), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        CLEANUP_OBJECT struct object *packed = pack(maps[i], maps[1 - i]);
        if (packed != NULL) {
            assert_memory_equal(object_body(packed), object_body(maps[i]), maps[i]->body_size);
        }
    }
    object_unref(maps[0]);
    object_unref(maps[1]);
}

/* ---- Any bytes ---- */

static void write_any(struct buf *b, struct rng *r, unsigned depth)
{
    char text[400];
    switch (rng_below(r, depth == 0 ? 7 : 9)) {
    case 0:
        mp_write_nil(b);
        break;
    case 1:
        mp_write_bool(b, rng_below(r, 2) == 0);
        break;
    case 2:
        mp_write_int(b, (int64_t)(rng_next(r) >> rng_below(r, 64)));
        break;
    case 3:
        mp_write_int(b, -(int64_t)(rng_next(r) >> (1 + rng_below(r, 63))));
        break;
    case 4:
        mp_write_float(b, (double)rng_below(r, 1000) / 7);
        break;
    case 5:
        mp_write_bin(b, text, 0);
        break;
    case 6:
        memset(text, (int)('a' + rng_below(r, 3)), sizeof text);
        mp_write_str(b, (struct str){text, (size_t)rng_below(r, rng_below(r, 9) == 0 ? 400 : 20)});
        break;
    case 7: {
        uint32_t count = (uint32_t)rng_below(r, rng_below(r, 9) == 0 ? 40 : 5);
        mp_write_array(b, count);
        while (count-- > 0) {
            write_any(b, r, depth - 1);
        }
        break;
    }
    default: {
        uint32_t count = (uint32_t)rng_below(r, rng_below(r, 9) == 0 ? 40 : 5);
        mp_write_map(b, count);
        while (count-- > 0) {
            snprintf(text, sizeof text, "k%u", (unsigned)rng_below(r, 6));
            mp_write_cstr(b, text);
            write_any(b, r, depth - 1);
        }
    }
    }
}

static struct object *any(struct rng *shape, struct rng *own)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char name[40];
    unsigned members = 3 + (unsigned)rng_below(shape, 5);
    mp_write_map(&b, members + 2);
    mp_write_key_str(&b, "kind", STR("ConfigMap"));
    mp_write_cstr(&b, "metadata");
    mp_write_map(&b, 2);
    snprintf(name, sizeof name, "%.*s%u", (int)rng_below(own, 20), "abababababababababababab",
             (unsigned)rng_below(own, 100));
    mp_write_key_str(&b, "name", str_of(name));
    mp_write_key_str(&b, "uid", str_of(rng_below(own, 3) == 0 ? "" : name));
    for (unsigned i = 0; i < members; i++) {
        snprintf(name, sizeof name, "m%u", i);
        mp_write_cstr(&b, name);
        struct rng copy = *shape; /* some members are equal in both, some begin alike, some are not alike at all */
        write_any(&b, rng_below(own, 4) == 0 ? own : &copy, 4);
        rng_next(shape);
    }
    struct object *o = NULL;
    struct error err = {0};
    if (object_from_body(kind_by_id(KIND_CONFIGMAP), b.data, b.size, 1, &o, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return o;
}

static void any_two_bodies_come_out_as_they_were(void **state)
{
    (void)state;
    struct rng own = {5};
    unsigned packed_count = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct rng first = {i}, second = {i};
        CLEANUP_OBJECT struct object *a = any(&first, &own);
        CLEANUP_OBJECT struct object *b = any(&second, &own);
        CLEANUP_OBJECT struct object *packed = pack(a, b);
        if (packed != NULL) {
            assert_memory_equal(object_body(packed), object_body(a), a->body_size);
            assert_true(str_eq(packed->name, a->name) && str_eq(packed->uid, a->uid));
            packed_count++;
        }
    }
    assert_in_range(packed_count, 1000, 20000);
}

/* ---- Threads ---- */

static void *read_body(void *data)
{
    const struct object *o = data;
    return (void *)(uintptr_t)(mp_str(mp_get(object_status(o), "phase")).p != NULL ? object_body(o) : NULL);
}

static void threads_that_read_at_once_read_one_body(void **state)
{
    (void)state;
    CLEANUP_OBJECT struct object *base = pod("web-a", "rs-1", 1, ""), *o = pod("web-b", "rs-1", 2, "");
    for (unsigned round = 0; round < 50; round++) {
        CLEANUP_OBJECT struct object *packed = pack(o, base);
        pthread_t threads[4];
        void *bodies[4];
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, read_body, packed), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(pthread_join(threads[i], &bodies[i]), 0);
            assert_ptr_equal(bodies[i], object_body(packed));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packed_pod_is_read_as_a_plain_one),
        cmocka_unit_test(a_pod_of_a_template_keeps_few_bytes_of_its_own),
        cmocka_unit_test(who_goes_first_changes_nothing),
        cmocka_unit_test(a_template_that_has_changed_is_found_again),
        cmocka_unit_test(what_is_not_alike_stays_plain),
        cmocka_unit_test(secrets_are_never_packed),
        cmocka_unit_test(hostile_bodies_take_no_more_time_than_their_size),
        cmocka_unit_test(any_two_bodies_come_out_as_they_were),
        cmocka_unit_test(threads_that_read_at_once_read_one_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
