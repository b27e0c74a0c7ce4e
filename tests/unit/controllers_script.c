/* Runs tests/script/controllers/NAME.txt. Commands:
 *
 *   apply                     body: objects, as YAML or in short (tests/script/stage_spell.c)
 *   try                       the same; shows why it is refused
 *   patch KIND NAME [ns=]     body: a merge patch in YAML
 *   status KIND NAME [ns=]    the same for the status
 *   older KIND NAME [ns=]     the same without checks and defaults: what an older program may have stored
 *   delete KIND NAME [policy=Background|Foreground|Orphan] [grace=S] [ns=]
 *   evict POD... [grace=S] [ns=]   one after another, before anything else is done
 *   remove KIND NAME [ns=]    at once, no questions
 *   reconcile CONTROLLER KIND NAME [ns=] [quiet]   one reconcile; shows what the transaction changed. What the
 *                                  controller remembers of the key is kept between them
 *   forget                         another leader: nothing is remembered, and all keys are looked at
 *   run [limit=S] [trace[=full]]   controllers, a simple scheduler and agents, until nothing is left to do (letting
 *                                  time pass up to the limit)
 *   show KIND... [ns=]        one line an object
 *   silence NODE, hear NODE, bad-image IMAGE, agents on|off|dated, advance S
 *   usage POD [CONTAINER=CPU:MEMORY...]   what it uses from now on; without containers it is not known. POD* is all
 *                                  that begin so
 *   calendar S                the calendar is off by that many seconds; time itself goes on */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strmap.h"
#include "proto/model/quantity.h"
#include "proto/pki/pki.h"
#include "tests/script/cluster.h"
#include "tests/script/script.h"
#include "tests/script/stage.h"

static const char *step_ns(const struct script_step *step)
{
    const char *ns = script_word(step, "ns");
    return ns == NULL ? "default" : ns;
}

static const struct kind *step_kind(const char *name)
{
    const struct kind *k = kind_by_any_name(str_of(name));
    if (k == NULL) {
        fprintf(stderr, "no kind %s\n", name);
        abort();
    }
    return k;
}

static const struct object *step_object(struct cluster *c, const struct script_step *step, unsigned at)
{
    const struct kind *k = step_kind(step->words[at]);
    const struct object *o = stage_get(&c->stage, k->id, k->namespaced ? step_ns(step) : "", step->words[at + 1]);
    if (o == NULL) {
        fprintf(stderr, "no %s %s\n", step->words[at], step->words[at + 1]);
        abort();
    }
    return o;
}

static void do_apply(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_apply(&c->stage, step->body);
}
static void do_try(struct cluster *c, const struct script_step *step, struct buf *out)
{
    struct error err = {0};
    if (stage_apply_yaml(&c->stage, step->body, &err) != 0) {
        buf_printf(out, "refused: %s\n", err.message);
    }
}
static void do_patch(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    const struct object *o = step_object(c, step, 0);
    stage_patch_part(&c->stage, o, step->body, TXN_PART_SPEC);
}
static void do_status(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_status_patch(&c->stage, step_object(c, step, 0), step->body);
}
static void do_older(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_patch_part(&c->stage, step_object(c, step, 0), step->body, TXN_PART_ALL);
}
static void do_delete(struct cluster *c, const struct script_step *step, struct buf *out)
{
    const char *policy = script_word(step, "policy"), *grace = script_word(step, "grace");
    size_t from = c->stage.trace.size;
    cluster_delete(c, step_object(c, step, 0), (enum deletion_policy)deletion_policy_parse(str_of(policy)),
                   grace == NULL ? -1 : atoi(grace));
    buf_append(out, c->stage.trace.data + from, c->stage.trace.size - from);
}
static void do_evict(struct cluster *c, const struct script_step *step, struct buf *out)
{
    const char *grace = script_word(step, "grace");
    for (unsigned i = 0; i < step->words_count && strchr(step->words[i], '=') == NULL; i++) {
        const struct object *pod = stage_get(&c->stage, KIND_POD, step_ns(step), step->words[i]);
        struct error err = {0};
        size_t from = c->stage.trace.size;
        assert_non_null(pod);
        if (cluster_evict(c, pod, grace == NULL ? -1 : atoi(grace), &err) != 0) {
            buf_printf(out, "%s: %s", err_reason(err.code), err.message);
            buf_printf(out, err.retry_after_ms > 0 ? " (again in %d s)\n" : "\n", err.retry_after_ms / 1000);
        }
        buf_append(out, c->stage.trace.data + from, c->stage.trace.size - from);
    }
}
static void do_remove(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_remove(&c->stage, step_object(c, step, 0));
}

static struct cluster_kept *kept_of(struct cluster *c, const struct script_step *step)
{
    char key[200];
    unsigned i = 0;
    snprintf(key, sizeof key, "%s %s %s/%s", step->words[0], step->words[1], step_ns(step), step->words[2]);
    while (i < ARRAY_SIZE(c->kept) && c->kept[i].key[0] != '\0' && strcmp(c->kept[i].key, key) != 0) {
        i++;
    }
    i %= ARRAY_SIZE(c->kept);
    if (strcmp(c->kept[i].key, key) != 0) {
        snprintf(c->kept[i].key, sizeof c->kept[i].key, "%s", key);
        buf_reset(&c->kept[i].memory);
    }
    return &c->kept[i];
}

static void do_forget(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)step;
    (void)out;
    for (unsigned i = 0; i < ARRAY_SIZE(c->kept); i++) {
        buf_reset(&c->kept[i].memory);
    }
    controllers_resync(c->controllers);
}

static void do_usage(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_use(&c->stage, step->words[0]);
    for (unsigned i = 1; i < step->words_count; i++) {
        char name[32], cpu[32], memory[32];
        int64_t milli, bytes;
        assert_int_equal(sscanf(step->words[i], "%31[^=]=%31[^:]:%31s", name, cpu, memory), 3);
        assert_true(quantity_milli(str_of(cpu), &milli) && quantity_units(str_of(memory), &bytes));
        stage_use_container(&c->stage, name, milli, bytes);
    }
}

/* In the place of a certificate: what was asked for. */
static int sign_user(void *data, struct arena *a, const struct pki_subject *who, const char *csr_pem, int64_t max_s,
                     int64_t since_ms, struct str asked_by, struct str *cert_pem, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    (void)data;
    if (since_ms == 1767225600000 - 60000) { /* 2025-12-31T23:59:00Z */
        return error_set(err, ERR_FORBIDDEN, "the certificates of user \"%s\" were revoked after it was approved",
                         who->name);
    }
    assert_int_equal(pki_request_check(str_of(csr_pem), NULL, NULL), 0);
    buf_printf(&b, "user %s", who->name);
    for (const char *g = who->groups; *g != '\0'; g += strlen(g) + 1) {
        buf_printf(&b, " of %s", g);
    }
    buf_printf(&b, ", for %lld s, asked for by %.*s", (long long)max_s, STR_ARG(asked_by));
    *cert_pem = str_of(arena_strdup(a, buf_cstr(&b)));
    return 0;
}

static void do_reconcile(struct cluster *c, const struct script_step *step, struct buf *out)
{
    const struct controller *controller = controller_by_name(step->words[0]);
    const struct kind *k = step_kind(step->words[1]);
    struct arena a;
    struct txn t;
    struct error err = {0};
    const struct controller_soft soft = {.data = &c->stage,
                                         .heartbeat_age_ms = stage_heartbeat_age_ms,
                                         .node_grace_ms = 40000,
                                         .usage = stage_usage_of,
                                         .zone = stage_zone,
                                         .sign_user = sign_user};
    struct cluster_kept *kept = kept_of(c, step);
    arena_init(&a);
    txn_init(&t, "script");
    const struct reconcile_in in = {
        .view = stage_tip(&c->stage),
        .key = {k, k->namespaced ? str_of(step_ns(step)) : STR_NONE, str_of(step->words[2])},
        .wall_ms = env_wall_ms(&c->stage.env),
        .memory = buf_str(&kept->memory),
        .rng = &c->stage.rng,
        .soft = &soft};
    struct reconcile_out result = {.txn = &t, .arena = &a};
    size_t from = c->stage.trace.size;
    assert_int_equal(controller->reconcile(&in, &result, &err), 0);
    assert_true(result.memory.n <= RECONCILE_MEMORY_MAX);
    buf_reset(&kept->memory);
    buf_append(&kept->memory, result.memory.p, result.memory.n);
    if (t.count > 0 && stage_submit(&c->stage, &t, &err) != 0) {
        buf_printf(out, "refused: %s\n", err.message);
    }
    if (script_word(step, "quiet") == NULL) {
        buf_append(out, c->stage.trace.data + from, c->stage.trace.size - from);
    }
    if (result.requeue_after_ms > 0 && script_word(step, "quiet") == NULL) {
        buf_printf(out, "again in %lld ms\n", (long long)result.requeue_after_ms);
    }
    txn_close(&t);
    arena_close(&a);
}

static void do_run(struct cluster *c, const struct script_step *step, struct buf *out)
{
    const char *limit = script_word(step, "limit");
    const char *trace = script_word(step, "trace");
    size_t from = c->stage.trace.size;
    c->stage.brief = trace == NULL || strcmp(trace, "full") != 0;
    stage_run(&c->stage, limit == NULL ? 0 : atoll(limit) * 1000);
    c->stage.brief = false;
    if (trace != NULL) {
        buf_append(out, c->stage.trace.data + from, c->stage.trace.size - from);
    }
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void do_show(struct cluster *c, const struct script_step *step, struct buf *out)
{
    for (unsigned i = 0; i < step->words_count && strncmp(step->words[i], "ns=", 3) != 0; i++) {
        const struct kind *k = step_kind(step->words[i]);
        char *lines[200];
        unsigned count = 0;
        struct view_iter it;
        view_iter(&it, stage_tip(&c->stage), k, k->namespaced ? str_of(step_ns(step)) : STR_NONE);
        VIEW_FOR(o, &it)
        {
            struct buf line = BUF_INIT;
            stage_write_summary(&c->stage, &line, o);
            assert_true(count < ARRAY_SIZE(lines));
            lines[count++] = stage_show(&c->stage, buf_cstr(&line));
            buf_close(&line);
        }
        qsort(lines, count, sizeof *lines, compare_text);
        for (unsigned n = 0; n < count; n++) {
            buf_puts(out, lines[n]);
            free(lines[n]);
        }
    }
}

static void do_silence(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_silence(&c->stage, step->words[0]);
}
static void do_hear(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_hear(&c->stage, step->words[0]);
}
static void do_bad_image(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    snprintf(c->stage.bad_image, sizeof c->stage.bad_image, "%s", step->words[0]);
}
static void do_calendar(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    c->stage.skew_ms = atoll(step->words[0]) * 1000;
}
static void do_agents(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    c->stage.agents_off = strcmp(step->words[0], "off") == 0;
    c->stage.agents_date |= strcmp(step->words[0], "dated") == 0;
}
static void do_advance(struct cluster *c, const struct script_step *step, struct buf *out)
{
    (void)out;
    c->stage.now_ms += atoll(step->words[0]) * 1000;
}

static const struct {
    const char *name;
    void (*run)(struct cluster *c, const struct script_step *step, struct buf *out);
} commands[] = {{"older", do_older},         {"apply", do_apply},   {"patch", do_patch},     {"status", do_status},
                {"delete", do_delete},       {"evict", do_evict},   {"remove", do_remove},   {"run", do_run},
                {"reconcile", do_reconcile}, {"show", do_show},     {"silence", do_silence}, {"hear", do_hear},
                {"bad-image", do_bad_image}, {"agents", do_agents}, {"advance", do_advance}, {"calendar", do_calendar},
                {"usage", do_usage},         {"forget", do_forget}, {"try", do_try}};

static void script_step_do(void *data, const struct script_step *step, struct buf *out)
{
    struct cluster *c = data;
    struct script_step raw = *step;
    char *texts[SCRIPT_WORDS_MAX + 1];
    struct buf plain = BUF_INIT;
    for (unsigned i = 0; i < step->words_count; i++) {
        raw.words[i] = texts[i] = stage_unshow(&c->stage, step->words[i]);
    }
    raw.body = texts[SCRIPT_WORDS_MAX] = stage_unshow(&c->stage, step->body);
    bool known = false;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, step->command) == 0) {
            commands[i].run(c, &raw, &plain);
            known = true;
        }
    }
    assert_true(known);
    char *shown = stage_show(&c->stage, buf_cstr(&plain));
    buf_puts(out, shown);
    free(shown);
    buf_close(&plain);
    for (unsigned i = 0; i < step->words_count; i++) {
        free(texts[i]);
    }
    free(texts[SCRIPT_WORDS_MAX]);
}

static void script(void **state)
{
    const char *name = *state;
    char path[200];
    struct cluster c;
    snprintf(path, sizeof path, "tests/script/controllers/%s.txt", name);
    cluster_open(&c, 1);
    c.stage.tells_accounts = strcmp(name, "accounts") == 0;
    assert_true(script_run(path, script_step_do, &c));
    cluster_close(&c);
}

/* As pods of users get them: requests from limits, the priority of a system class, the class of service. */
static void pods_of_a_template_get_the_defaults_of_pods(void **state)
{
    (void)state;
    struct cluster c;
    cluster_open(&c, 1);
    stage_apply(
        &c.stage,
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web}\nspec: {replicas: 1, selector: {matchLabels: "
        "{a: b}}, template: {metadata: {labels: {a: b}}, spec: {priorityClassName: system-cluster-critical, "
        "containers: [{name: c, image: i, resources: {limits: {cpu: '0.5', memory: 1Gi}}}]}}}\n");
    stage_run(&c.stage, 0);
    struct view_iter it;
    unsigned pods = 0;
    view_iter(&it, stage_tip(&c.stage), kind_by_id(KIND_POD), STR("default"));
    VIEW_FOR(pod, &it)
    {
        struct arena a;
        arena_init(&a);
        struct value *doc = object_to_value(&a, pod);
        const struct value *container = value_item(value_path(doc, "spec.containers"), 0);
        assert_true(str_is(value_path_str(container, "resources.requests.cpu"), "500m"));
        assert_true(str_is(value_path_str(container, "resources.requests.memory"), "1Gi"));
        assert_true(str_is(value_path_str(doc, "status.qosClass"), "Guaranteed"));
        assert_int_equal(value_path_int(doc, "spec.priority", 0), 2000000000);
        arena_close(&a);
        pods++;
    }
    assert_int_equal(pods, 1);
    cluster_close(&c);
}

/* More pods than one step looks at: the mean is that of all of them. */
static void the_autoscaler_adds_up_many_pods_in_steps(void **state)
{
    (void)state;
    struct cluster c;
    struct buf b = BUF_INIT;
    cluster_open(&c, 1);
    c.stage.agents_off = true;
    stage_apply(&c.stage, "node n1 cpu=4000 pods=2000\nrs web replicas=1200\n");
    for (unsigned i = 0; i < 1200; i++) {
        buf_printf(&b, "pod %c%04u owner=ReplicaSet/web node=n1 started=1h readyfor=1h\n", i < 1000 ? 'a' : 'z', i);
    }
    stage_apply(&c.stage, buf_cstr(&b));
    stage_use(&c.stage, "a*");
    stage_use_container(&c.stage, "c", 10, 1);
    stage_use(&c.stage, "z*");
    stage_use_container(&c.stage, "c", 1000, 1);
    stage_apply(
        &c.stage,
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {scaleTargetRef: "
        "{apiVersion: apps/v1, kind: ReplicaSet, name: web}, maxReplicas: 5000, metrics: [{type: Resource, "
        "resource: {name: cpu, target: {type: AverageValue, averageValue: 170m}}}]}\n");
    stage_run(&c.stage, 0);
    struct arena a;
    arena_init(&a);
    const struct object *h = stage_get(&c.stage, KIND_HORIZONTALPODAUTOSCALER, "default", "h");
    struct value *doc = object_to_value(&a, h);
    const struct value *metric = value_item(value_path(doc, "status.currentMetrics"), 0);
    assert_true(str_is(value_path_str(metric, "resource.current.averageValue"), "175m"));
    assert_int_equal(value_path_int(doc, "status.desiredReplicas", 0), 1200);
    arena_close(&a);
    buf_close(&b);
    cluster_close(&c);
}

static struct str range_of_node(struct cluster *c, const char *name)
{
    return mp_str(mp_get(object_spec(stage_get(&c->stage, KIND_NODE, "", name)), "podCIDR"));
}

/* More ranges than one step looks at: the lowest free one is found all the same, and none is given twice. */
static void ranges_of_many_nodes_are_looked_through_in_steps(void **state)
{
    (void)state;
    struct cluster c;
    struct buf b = BUF_INIT;
    struct strmap seen;
    struct view_iter it;
    cluster_open(&c, 1);
    c.stage.agents_off = true;
    stage_apply(&c.stage, "apiVersion: reeve.io/v1\nkind: ClusterConfiguration\nmetadata: {name: cluster}\nspec: "
                          "{networking: {podSubnet: 10.128.0.0/9, nodeCIDRMaskSize: 26}}\n");
    for (unsigned i = 0; i < RECONCILE_VISITS_MAX + 500; i++) {
        buf_printf(&b, "node n%05u\n", i);
    }
    stage_apply(&c.stage, buf_cstr(&b));
    stage_run(&c.stage, 0);
    strmap_init(&seen);
    view_iter(&it, stage_tip(&c.stage), kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &it)
    {
        struct str range = mp_str(mp_get(object_spec(node), "podCIDR"));
        assert_true(range.n > 0);
        assert_null(strmap_get(&seen, range));
        strmap_set(&seen, range, &c);
    }
    assert_int_equal(seen.count, RECONCILE_VISITS_MAX + 500);
    /* One far behind becomes free: it is the lowest, and nothing above it is given before. */
    char freed[32];
    snprintf(freed, sizeof freed, "%.*s", STR_ARG(range_of_node(&c, "n02400")));
    stage_remove(&c.stage, stage_get(&c.stage, KIND_NODE, "", "n02400"));
    stage_run(&c.stage, 0);
    stage_apply(&c.stage, "node late-a\nnode late-b\n");
    stage_run(&c.stage, 1000);
    assert_true(str_is(range_of_node(&c, "late-a"), freed));
    assert_true(str_is(range_of_node(&c, "late-b"), "10.130.113.0/26")); /* the 2,500th part behind 10.128.0.0 */
    strmap_close(&seen);
    buf_close(&b);
    cluster_close(&c);
}

#define SCRIPT(name)                                                                                                   \
    {                                                                                                                  \
        "script_" name, script, NULL, NULL, name                                                                       \
    }
int main(void)
{
    static const struct CMUnitTest tests[] = {
#include "tests/script/controllers/list.h"
        cmocka_unit_test(pods_of_a_template_get_the_defaults_of_pods),
        cmocka_unit_test(the_autoscaler_adds_up_many_pods_in_steps),
        cmocka_unit_test(ranges_of_many_nodes_are_looked_through_in_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
