/* Requests that are as expensive as a user can make them: none may hold the loop for long. */
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

#define OBJECTS  MASTER_USER_OBJECTS_MAX
#define ELEMENTS (MASTER_USER_ELEMENTS_MAX - 4096)

static void write_head(struct buf *b, const char *api_version, const char *kind, const char *name, unsigned more)
{
    mp_write_map(b, 3 + more);
    mp_write_key_str(b, "apiVersion", str_of(api_version));
    mp_write_key_str(b, "kind", str_of(kind));
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 1);
    mp_write_key_str(b, "name", str_of(name));
}

static void write_key(struct buf *b, unsigned i)
{
    char key[16];
    snprintf(key, sizeof key, "k%u", i);
    mp_write_cstr(b, key);
}

/* data: as many small members as it may have. */
static void many_members(struct buf *b)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    write_head(b, "v1", "ConfigMap", "members", 1);
    mp_write_cstr(b, "data");
    mp_write_map(b, 4096);
    for (unsigned i = 0; i < 4096; i++) {
        write_key(b, i);
        mp_write_cstr(b, "");
    }
}

/* data: a list instead of a map, of numbers. */
static void list_for_map(struct buf *b)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    write_head(b, "v1", "ConfigMap", "list", 1);
    mp_write_cstr(b, "data");
    mp_write_array(b, 8);
    for (unsigned i = 0; i < 8; i++) {
        mp_write_array(b, ELEMENTS / 8);
        for (unsigned j = 0; j < ELEMENTS / 8; j++) {
            mp_write_int(b, 1);
        }
    }
}

/* A member that no ConfigMap has: maps in a list. */
static void unknown_maps(struct buf *b)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    write_head(b, "v1", "ConfigMap", "maps", 1);
    mp_write_cstr(b, "nothing");
    mp_write_array(b, 4);
    for (unsigned i = 0; i < 4; i++) {
        mp_write_array(b, ELEMENTS / 12);
        for (unsigned j = 0; j < ELEMENTS / 12; j++) {
            mp_write_map(b, 1);
            mp_write_cstr(b, "a");
            mp_write_int(b, 1);
        }
    }
}

static void write_pod(struct buf *b, const char *what, unsigned count, unsigned members)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "object");
    write_head(b, "v1", "Pod", what, 1);
    mp_write_cstr(b, "spec");
    mp_write_map(b, 1);
    mp_write_cstr(b, "containers");
    mp_write_array(b, 1);
    mp_write_map(b, 3);
    mp_write_key_str(b, "name", STR("c"));
    mp_write_key_str(b, "image", STR("i"));
    mp_write_cstr(b, what);
    mp_write_array(b, count);
    for (unsigned i = 0; i < count && members > 0; i++) {
        mp_write_map(b, 1);
        mp_write_cstr(b, "name");
        write_key(b, i);
    }
}

static void environment(struct buf *b)
{
    write_pod(b, "env", VALUE_ITEMS_MAX, 1);
}

static void arguments(struct buf *b)
{
    write_pod(b, "args", VALUE_ITEMS_MAX, 0);
    for (unsigned i = 0; i < VALUE_ITEMS_MAX; i++) {
        mp_write_cstr(b, "");
    }
}

/* A transaction of as many operations as one may have. */
static void operations(struct buf *b)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "ops");
    mp_write_array(b, OBJECTS);
    for (unsigned i = 0; i < OBJECTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "o%u", i);
        mp_write_map(b, 2);
        mp_write_key_str(b, "op", STR("create"));
        mp_write_cstr(b, "object");
        write_head(b, "v1", "ConfigMap", name, 0);
    }
}

static void write_documents(struct buf *b, unsigned count)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "objects");
    mp_write_array(b, count);
    for (unsigned i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "a%u", i);
        write_head(b, "v1", "ConfigMap", name, 0);
    }
}

static void documents(struct buf *b)
{
    write_documents(b, OBJECTS);
}

static void one_more(struct buf *b)
{
    write_documents(b, OBJECTS + 1);
}

/* Operations of a JSON patch that look at the same place. */
static void patches(struct buf *b)
{
    mp_write_map(b, 4);
    mp_write_key_str(b, "kind", STR("ConfigMap"));
    mp_write_key_str(b, "name", STR("members"));
    mp_write_key_str(b, "type", STR("json"));
    mp_write_cstr(b, "patch");
    mp_write_array(b, 10000);
    for (unsigned i = 0; i < 10000; i++) {
        mp_write_map(b, 3);
        mp_write_key_str(b, "op", STR("replace"));
        mp_write_key_str(b, "path", STR("/data/k4095"));
        mp_write_key_str(b, "value", STR("x"));
    }
}

/* Operations that move what stands behind them. */
static void removals(struct buf *b)
{
    mp_write_map(b, 4);
    mp_write_key_str(b, "kind", STR("Pod"));
    mp_write_key_str(b, "name", STR("args"));
    mp_write_key_str(b, "type", STR("json"));
    mp_write_cstr(b, "patch");
    mp_write_array(b, 10000);
    for (unsigned i = 0; i < 10000; i++) {
        mp_write_map(b, 2);
        mp_write_key_str(b, "op", STR("remove"));
        mp_write_key_str(b, "path", STR("/spec/containers/0/args/0"));
    }
}

static void deployment(struct buf *b, const char *prefix)
{
    write_head(b, "apps/v1", "Deployment", "d", 1);
    mp_write_cstr(b, "spec");
    mp_write_map(b, 3);
    mp_write_key_int(b, "replicas", 0);
    mp_write_cstr(b, "selector");
    mp_write_map(b, 1);
    mp_write_cstr(b, "matchLabels");
    mp_write_map(b, 1);
    mp_write_key_str(b, "app", STR("d"));
    mp_write_cstr(b, "template");
    mp_write_map(b, 2);
    mp_write_cstr(b, "metadata");
    mp_write_map(b, 1);
    mp_write_cstr(b, "labels");
    mp_write_map(b, 1);
    mp_write_key_str(b, "app", STR("d"));
    mp_write_cstr(b, "spec");
    mp_write_map(b, 1);
    mp_write_cstr(b, "containers");
    mp_write_array(b, 1);
    mp_write_map(b, 3);
    mp_write_key_str(b, "name", STR("c"));
    mp_write_key_str(b, "image", STR("i"));
    mp_write_cstr(b, "env");
    mp_write_array(b, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%s%u", prefix, i);
        mp_write_map(b, 1);
        mp_write_key_str(b, "name", str_of(key));
    }
}

static void large_deployment(struct buf *b)
{
    mp_write_map(b, 1);
    mp_write_cstr(b, "objects");
    mp_write_array(b, 1);
    deployment(b, "K");
}

/* A merge of two long lists by the names in them. */
static void merge_lists(struct buf *b)
{
    mp_write_map(b, 4);
    mp_write_key_str(b, "kind", STR("Deployment"));
    mp_write_key_str(b, "name", STR("d"));
    mp_write_key_str(b, "type", STR("strategic"));
    mp_write_cstr(b, "patch");
    deployment(b, "L");
}

/* A manifest as large as it may be, of one text. */
static void long_text(struct buf *b)
{
    static char text[1000000];
    memset(text, '"', sizeof text);
    mp_write_map(b, 2);
    mp_write_key_bool(b, "serverSide", true);
    mp_write_cstr(b, "objects");
    mp_write_array(b, 1);
    write_head(b, "v1", "ConfigMap", "text", 1);
    mp_write_cstr(b, "data");
    mp_write_map(b, 1);
    mp_write_key_str(b, "t", (struct str){text, sizeof text});
}

/* A merge into the largest map, all of it new. */
static void merge(struct buf *b)
{
    mp_write_map(b, 4);
    mp_write_key_str(b, "kind", STR("ConfigMap"));
    mp_write_key_str(b, "name", STR("members"));
    mp_write_key_str(b, "type", STR("merge"));
    mp_write_cstr(b, "patch");
    mp_write_map(b, 1);
    mp_write_cstr(b, "data");
    mp_write_map(b, VALUE_MEMBERS_MAX);
    for (unsigned i = 0; i < VALUE_MEMBERS_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "m%u", i);
        mp_write_cstr(b, key);
        mp_write_cstr(b, "");
    }
}

static const struct shape {
    const char *what, *method;
    void (*write)(struct buf *b);
    const char *refusal;
} shapes[] = {
    {"a map of 4,096 members", "create", many_members, NULL},
    {"a list for a map", "create", list_for_map, NULL},
    {"maps where nothing is known", "create", unknown_maps, NULL},
    {"variables", "create", environment, NULL},
    {"arguments", "create", arguments, NULL},
    {"a JSON patch of many operations", "patch", patches, "too much to look through"},
    {"a JSON patch of many removals", "patch", removals, "too much to look through"},
    {"a Deployment of 1,000 variables", "apply", large_deployment, NULL},
    {"the same again", "apply", large_deployment, NULL},
    {"a merge of long lists", "patch", merge_lists, NULL},
    {"a long text", "apply", long_text, NULL},
    {"the same again", "apply", long_text, NULL},
    {"a merge into the largest map", "patch", merge, NULL},
    {"a transaction of 1,024 operations", "txn", operations, NULL},
    {"an apply of one more", "apply", one_more, "a list of 1 to 1024 objects"},
    {"an apply of 1,024 documents", "apply", documents, NULL},
    {"the same again", "apply", documents, NULL},
};

static void no_request_holds_the_others_for_long(void **state)
{
    (void)state;
    struct kit *k = kit_one(NULL);
    struct client *admin = client_admin(k, 0), *user = client_as(k, 0, PKI_ROLE_ADMIN, "mallory");
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct answer a = {0};
        shapes[i].write(&b);
        int64_t cpu = kit_cpu_ms(k, 0), longest = 0;
        size_t memory = kit_memory_kb(k, 0);
        rpc_call(user->rpc, shapes[i].method, buf_str(&b), KIT_WAIT_MS, take_answer, &a);
        for (int64_t until = kit_now() + KIT_WAIT_MS; !a.done; assert_true(kit_now() < until)) {
            int64_t start = kit_now();
            must(admin, "get", "{kind: Namespace, name: default}");
            longest = MAX(longest, kit_now() - start);
        }
        cpu = kit_cpu_ms(k, 0) - cpu;
        must(admin, "cluster", "{}");
        print_message("%s, %zu bytes: another user waits %lld ms, %lld ms of CPU, %+lld KiB, longest piece so far "
                      "%lld us: %.80s\n",
                      shapes[i].what, b.size, (long long)longest, (long long)cpu,
                      (long long)kit_memory_kb(k, 0) - (long long)memory,
                      (long long)int_at(admin, "stats.longestPieceUs"), a.err.code == 0 ? "done" : a.err.message);
        assert_true(rpc_session_is_open(user->rpc));
        if (shapes[i].refusal != NULL) {
            assert_non_null(strstr(a.err.message, shapes[i].refusal));
        }
    }
    client_close(admin);
    client_close(user);
    kit_free(k);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_request_holds_the_others_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
