/* Runs tests/script/scheduler/NAME.txt. Commands:
 *
 *   apply                     body: objects, as YAML or in short (tests/script/stage_spell.c)
 *   patch KIND NAME           body: a merge patch in YAML
 *   status KIND NAME          the same for the status
 *   remove KIND NAME
 *   pass SECONDS              time passes
 *   schedule [max=N]          runs until nothing is left; shows the transactions' changes
 *   schedule quiet            the same, showing nothing
 *   refused [max=N]           one run whose transaction is refused
 *   nodes                     pods and used cpu of each node
 *   pods                      pods, where they are, and why not
 *   show KIND...              one line an object
 *   explain POD
 *   resync
 *   stats [preemptions] [retries] [gangs] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/scheduler.h"

#include "tests/script/script.h"
#include "tests/script/stage.h"

struct fixture {
    struct stage stage;
    struct scheduler *scheduler;
};

static void observe(void *data, const struct change *changes, unsigned count)
{
    scheduler_observe(((struct fixture *)data)->scheduler, changes, count);
}

static bool schedule_once(struct fixture *f, unsigned max, bool refuse)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, "scheduler");
    bool more = scheduler_run(f->scheduler, stage_tip(&f->stage), env_wall_ms(&f->stage.env), max, &t);
    if (refuse) {
        scheduler_failed(f->scheduler, &t);
    } else if (t.count > 0) {
        assert_int_equal(stage_submit(&f->stage, &t, &err), 0);
    }
    txn_close(&t);
    return more;
}

static const struct object *step_object(struct fixture *f, const struct script_step *step)
{
    const struct kind *k = kind_by_any_name(str_of(step->words[0]));
    CLEANUP_FREE char *name = stage_unshow(&f->stage, step->words[1]);
    const struct object *o = stage_get(&f->stage, k->id, k->namespaced ? "default" : "", name);
    assert_non_null(o);
    return o;
}

static void do_apply(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_apply(&f->stage, step->body);
}
static void do_patch(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_patch_part(&f->stage, step_object(f, step), step->body, TXN_PART_SPEC);
}
static void do_status(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_status_patch(&f->stage, step_object(f, step), step->body);
}
static void do_remove(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)out;
    stage_remove(&f->stage, step_object(f, step));
}

static void do_pass(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)out;
    f->stage.now_ms += 1000 * atoi(step->words[0]);
}

static unsigned step_max(const struct script_step *step)
{
    const char *max = script_word(step, "max");
    return max == NULL ? 1024 : (unsigned)atoi(max);
}

static void show_line(struct fixture *f, const char *text, struct buf *out)
{
    char *shown = stage_show(&f->stage, text);
    buf_puts(out, shown);
    free(shown);
}

/* Bindings are written without making documents: their bytes are those that a document has. */
static void bodies_are_canonical(struct fixture *f)
{
    struct view_iter it;
    view_iter(&it, stage_tip(&f->stage), kind_by_id(KIND_POD), STR_NONE);
    VIEW_FOR(pod, &it)
    {
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf body = BUF_INIT;
        arena_init(&a);
        kind_encode(pod->kind, object_to_value(&a, pod), &body);
        assert_int_equal(body.size, pod->body_size);
        assert_memory_equal(body.data, object_body(pod), body.size);
    }
}

static void do_schedule(struct fixture *f, const struct script_step *step, struct buf *out)
{
    size_t from = f->stage.trace.size;
    while (schedule_once(f, step_max(step), false)) {
    }
    bodies_are_canonical(f);
    if (script_word(step, "quiet") == NULL) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        buf_append(&text, f->stage.trace.data + from, f->stage.trace.size - from);
        show_line(f, buf_cstr(&text), out);
    }
}
static void do_refused(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)out;
    schedule_once(f, step_max(step), true);
}

static void do_nodes(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)step;
    struct view_iter nodes, pods;
    view_iter(&nodes, stage_tip(&f->stage), kind_by_id(KIND_NODE), STR_NONE);
    VIEW_FOR(node, &nodes)
    {
        unsigned count = 0;
        view_iter_node_pods(&pods, stage_tip(&f->stage), node->name);
        buf_printf(out, "%.*s:", STR_ARG(node->name));
        VIEW_FOR(pod, &pods)
        {
            if (count++ < 8) {
                buf_printf(out, " %.*s", STR_ARG(pod->name));
            }
        }
        buf_printf(out, " (%u)\n", count);
    }
}

static void do_pods(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)step;
    struct view_iter it;
    view_iter(&it, stage_tip(&f->stage), kind_by_id(KIND_POD), STR("default"));
    VIEW_FOR(pod, &it)
    {
        struct str node = mp_str(mp_path(object_mp(pod), "spec.nodeName")), message = STR_NONE;
        for (struct mp_iter c = mp_iter(mp_path(object_mp(pod), "status.conditions")); mp_next(&c);) {
            if (str_is(mp_str(mp_get(c.value, "type")), "PodScheduled")) {
                message = mp_str(mp_get(c.value, "message"));
            }
        }
        struct str nominated = mp_str(mp_path(object_mp(pod), "status.nominatedNodeName"));
        buf_printf(out, "%.*s on %.*s%s%s%.*s%s%.*s\n", STR_ARG(pod->name), STR_ARG(node.n > 0 ? node : STR("-")),
                   pod->deleting ? ", going" : "", nominated.n > 0 ? ", nominated " : "", STR_ARG(nominated),
                   message.n > 0 ? ": " : "", STR_ARG(message));
    }
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void do_show(struct fixture *f, const struct script_step *step, struct buf *out)
{
    for (unsigned i = 0; i < step->words_count; i++) {
        const struct kind *k = kind_by_any_name(str_of(step->words[i]));
        char *lines[100];
        unsigned count = 0;
        struct view_iter it;
        view_iter(&it, stage_tip(&f->stage), k, k->namespaced ? STR("default") : STR_NONE);
        VIEW_FOR(o, &it)
        {
            CLEANUP_BUF struct buf line = BUF_INIT;
            stage_write_summary(&f->stage, &line, o);
            assert_true(count < ARRAY_SIZE(lines));
            lines[count++] = stage_show(&f->stage, buf_cstr(&line));
        }
        qsort(lines, count, sizeof *lines, compare_text); /* names that are made up are in no order */
        for (unsigned n = 0; n < count; n++) {
            buf_puts(out, lines[n]);
            free(lines[n]);
        }
    }
}

static void do_explain(struct fixture *f, const struct script_step *step, struct buf *out)
{
    const struct object *pod = stage_get(&f->stage, KIND_POD, "default", step->words[0]);
    assert_non_null(pod);
    size_t before = out->size;
    scheduler_explain(f->scheduler, stage_tip(&f->stage), pod, out);
    buf_puts(out, out->size > before ? "\n" : "it fits\n");
}
static void do_resync(struct fixture *f, const struct script_step *step, struct buf *out)
{
    (void)step;
    (void)out;
    scheduler_resync(f->scheduler, stage_tip(&f->stage));
}
static void do_stats(struct fixture *f, const struct script_step *step, struct buf *out)
{
    struct scheduler_stats s;
    scheduler_stats(f->scheduler, &s);
    buf_printf(out, "active %u, parked %u, nodes %u, classes %u", s.active, s.parked, s.nodes, s.classes);
    if (script_word(step, "preemptions") != NULL) {
        buf_printf(out, ", nominees %u, preemptions %llu, victims %llu", s.nominees, (unsigned long long)s.preemptions,
                   (unsigned long long)s.victims);
    }
    if (script_word(step, "gangs") != NULL) {
        buf_printf(out, ", %u in %u groups wait, %u gangs; bound %llu, attempts %llu, preemptions %llu", s.ganged,
                   s.gangs, s.gangs_waiting, (unsigned long long)s.gangs_bound, (unsigned long long)s.gang_attempts,
                   (unsigned long long)s.gang_preemptions);
    }
    CLEANUP_BUF struct buf why = BUF_INIT;
    if (!scheduler_audit(f->scheduler, &why)) {
        buf_printf(out, ", %s", buf_cstr(&why));
    }
    if (s.violations > 0) { /* never expected: a node was chosen that the pod may not have */
        buf_printf(out, ", violations %llu", (unsigned long long)s.violations);
    }
    if (script_word(step, "retries") != NULL) {
        buf_printf(out, ", retries %llu, found %llu", (unsigned long long)s.retries, (unsigned long long)s.retry_found);
    }
    buf_putc(out, '\n');
}

static const struct {
    const char *name;
    void (*run)(struct fixture *f, const struct script_step *step, struct buf *out);
} commands[] = {{"apply", do_apply},     {"patch", do_patch},   {"status", do_status},     {"remove", do_remove},
                {"nodes", do_nodes},     {"pods", do_pods},     {"schedule", do_schedule}, {"refused", do_refused},
                {"explain", do_explain}, {"resync", do_resync}, {"stats", do_stats},       {"show", do_show},
                {"pass", do_pass}};

static void script_step_do(void *data, const struct script_step *step, struct buf *out)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, step->command) == 0) {
            commands[i].run(data, step, out);
            return;
        }
    }
    fail_msg("no command %s", step->command);
}

static void script(void **state)
{
    const char *name = *state;
    char path[200];
    struct fixture f;
    snprintf(path, sizeof path, "tests/script/scheduler/%s.txt", name);
    stage_open(&f.stage, 1);
    const struct scheduler_config config = {.env = &f.stage.env, .seed = 1};
    f.scheduler = scheduler_new(&config);
    f.stage.hooks = (struct stage_hooks){.data = &f, .observe = observe};
    stage_apply(&f.stage, "namespace default");
    scheduler_resync(f.scheduler, stage_tip(&f.stage));
    assert_true(script_run(path, script_step_do, &f));
    scheduler_free(f.scheduler);
    stage_close(&f.stage);
}

#define SCRIPT(name)                                                                                                   \
    {                                                                                                                  \
        "script_" name, script, NULL, NULL, name                                                                       \
    }
int main(void)
{
    static const struct CMUnitTest tests[] = {
#include "tests/script/scheduler/list.h"
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
