/* A Deployment of a million replicas and no node for them: whoever else asks is served all the while, and it can be
 * taken back. PODS=n waits for more pods. */
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

#define REPLICAS 1000000

struct waits {
    int64_t connect, write, get;
};

/* What a user notices: a new connection, a write, a read. */
static void look(struct kit *k, struct waits *w)
{
    static unsigned n;
    int64_t start = kit_now();
    struct client *c = client_as(k, 0, PKI_ROLE_ADMIN, "other");
    must(c, "get", "{kind: Namespace, name: default}");
    int64_t connected = kit_now();
    must(c, "apply", "{objects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: w}, data: {n: '%u'}}]}", n++);
    int64_t written = kit_now();
    must(c, "get", "{kind: Deployment, name: crowd}");
    w->connect = MAX(w->connect, connected - start);
    w->write = MAX(w->write, written - connected);
    w->get = MAX(w->get, kit_now() - written);
    client_close(c);
}

/* As the Deployment's status has it, which may lag behind by a moment. */
static int64_t pods(struct client *admin)
{
    must(admin, "get", "{kind: Deployment, name: crowd}");
    return int_at(admin, "object.status.replicas");
}

static bool no_pod_is_left(struct client *admin)
{
    must(admin, "list", "{kind: Pod, namespace: default, limit: 1}");
    return value_count(value_get(admin->result, "items")) == 0;
}

static void tell(struct kit *k, struct client *admin, const char *what, int64_t took_ms, const struct waits *w)
{
    must(admin, "cluster", "{}");
    int64_t count = int_at(admin, "state.objects");
    print_message(
        "%s: after %lld ms, %lld objects; new connection %lld ms, write %lld ms, get %lld ms at most; %zu MiB, "
        "%lld ms of CPU so far, longest piece %lld us\n",
        what, (long long)took_ms, (long long)count, (long long)w->connect, (long long)w->write, (long long)w->get,
        kit_memory_kb(k, 0) >> 10, (long long)kit_cpu_ms(k, 0), (long long)int_at(admin, "stats.longestPieceUs"));
}

static void a_million_replicas_without_a_node_are_in_nobodys_way(void **state)
{
    (void)state;
    int64_t wanted = getenv("PODS") != NULL ? strtoll(getenv("PODS"), NULL, 10) : 3000,
            patience = KIT_WAIT_MS * (1 + wanted / 3000);
    struct kit *k = kit_one(NULL);
    struct client *admin = client_admin(k, 0);
    struct waits growing = {0}, shrinking = {0};
    int64_t start = kit_now(), answered;
    must(admin, "create",
         "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: crowd}, spec: {replicas: %d, selector: "
         "{matchLabels: {app: crowd}}, template: {metadata: {labels: {app: crowd}}, spec: {containers: [{name: c, "
         "image: "
         "i}]}}}}}",
         REPLICAS);
    for (int64_t until = start + patience; pods(admin) < wanted; assert_true(kit_now() < until)) {
        look(k, &growing);
    }
    tell(k, admin, "growing", kit_now() - start, &growing);
    start = kit_now();
    must(admin, "patch", "{kind: Deployment, name: crowd, type: merge, patch: {spec: {replicas: 0}}}");
    answered = kit_now() - start;
    for (int64_t until = start + patience; !no_pod_is_left(admin); assert_true(kit_now() < until)) {
        look(k, &shrinking);
    }
    print_message("scaling to 0 is answered after %lld ms\n", (long long)answered);
    tell(k, admin, "shrinking", kit_now() - start, &shrinking);
    must(admin, "patch", "{kind: Deployment, name: crowd, type: merge, patch: {spec: {replicas: %d}}}", REPLICAS);
    for (int64_t until = kit_now() + patience; pods(admin) < wanted; assert_true(kit_now() < until)) {
        kit_turn(k, 10);
    }
    start = kit_now();
    must(admin, "delete", "{kind: Deployment, name: crowd}");
    answered = kit_now() - start;
    for (int64_t until = start + patience; !no_pod_is_left(admin); assert_true(kit_now() < until)) {
        kit_turn(k, 10);
    }
    print_message("its deletion is answered after %lld ms, its pods are gone after %lld ms\n", (long long)answered,
                  (long long)(kit_now() - start));
    client_close(admin);
    kit_free(k);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_replicas_without_a_node_are_in_nobodys_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
