/* Which OCI runtime a pod is run by: what its RuntimeClass says, what the agent was given, and for how long it counts.
 * */
#include "agent/agent_int.h"
#include "agent/pod/handler.h"
#include "tests/unit/agent_fakes.h"

#define POD_OF(class) "'runtimeClassName':'" class "','containers':[{'name':'c','image':'i'}]"

struct machine {
    struct agent agent;
    struct runtime_handler handlers[2];
    struct pod pod;
    struct agent_pod ap;
    struct error err;
};

static void machine_open(struct machine *m, const char *spec)
{
    *m = (struct machine){.handlers = {{"kata", "/usr/bin/env"}, {"lost", "/no/such/runtime"}}};
    m->agent.refs = refs_new();
    m->agent.handlers = m->handlers;
    m->agent.handlers_count = 2;
    m->pod.spec = spec_of(spec);
    m->ap = (struct agent_pod){.agent = &m->agent, .pod = &m->pod, .uid = (char *)"u1"};
}

static void machine_close(struct machine *m)
{
    podspec_free(m->pod.spec);
    refs_free(m->agent.refs);
}

static void class_comes(struct machine *m, const char *name, const char *handler)
{
    CLEANUP_FREE char *json = xasprintf(
        "{'apiVersion':'node.k8s.io/v1','kind':'RuntimeClass','metadata':{'name':'%s'},'handler':'%s'}", name, handler);
    struct object *o = object_of(json);
    assert_true(refs_put(m->agent.refs, o));
    object_unref(o);
}

static void the_class_of_a_pod_says_its_runtime(void **state)
{
    (void)state;
    struct machine m;
    char name[HANDLER_SIZE];
    machine_open(&m, POD_OF("sandboxed"));
    assert_int_equal(handler_find(&m.ap, &m.err), ERR_BUSY); /* masters have not told yet */
    refs_list_begin(m.agent.refs);
    refs_list_end(m.agent.refs, NULL, NULL);
    assert_int_equal(handler_find(&m.ap, &m.err), ERR_NOT_FOUND);
    assert_string_equal(m.err.message, "RuntimeClass \"sandboxed\" not found");
    class_comes(&m, "sandboxed", "kata");
    assert_int_equal(handler_find(&m.ap, &m.err), 0);
    assert_int_equal(handler_of_pod(&m.ap, name, &m.err), 0);
    assert_string_equal(name, "kata");
    /* It goes; containers that are started again are run as before. */
    assert_true(refs_delete(m.agent.refs, KIND_RUNTIMECLASS, STR_NONE, STR("sandboxed")));
    assert_int_equal(handler_of_pod(&m.ap, name, &m.err), 0);
    assert_string_equal(name, "kata");
    machine_close(&m);
}

static void a_runtime_that_the_agent_lacks_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *handler, *why;
    } rows[] = {{"gvisor", "no runtime for \"gvisor\" is configured (reeve-agent --runtime-handler)"},
                {"lost", "the runtime for \"lost\" cannot be run: /no/such/runtime: No such file or directory"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct machine m;
        machine_open(&m, POD_OF("sandboxed"));
        class_comes(&m, "sandboxed", rows[i].handler);
        assert_int_equal(handler_find(&m.ap, &m.err), ERR_UNSUPPORTED);
        assert_string_equal(m.err.message, rows[i].why);
        assert_false(m.ap.handler_known);
        machine_close(&m);
    }
}

static void crun_needs_no_handler(void **state)
{
    (void)state;
    struct machine m;
    char name[HANDLER_SIZE];
    machine_open(&m, "'containers':[{'name':'c','image':'i'}]");
    assert_int_equal(handler_find(&m.ap, &m.err), 0);
    assert_int_equal(handler_of_pod(&m.ap, name, &m.err), 0);
    assert_string_equal(name, "");
    machine_close(&m);
    machine_open(&m, POD_OF("plain"));
    class_comes(&m, "plain", "crun");
    assert_int_equal(handler_find(&m.ap, &m.err), 0);
    assert_string_equal(m.ap.handler, "");
    machine_close(&m);
}

static void handlers_on_the_command_line_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "kata", "=/usr/bin/runc", "Kata=/usr/bin/runc", "kata=runc", "a.b=/x", "a=", "crun=/usr/bin/x", "a b=/x"};
    CLEANUP_ARENA struct arena a;
    struct runtime_handler h;
    struct error err;
    arena_init(&a);
    assert_int_equal(handler_parse(&a, "kata=/opt/kata/bin/kata=1", &h, &err), 0);
    assert_string_equal(h.name, "kata");
    assert_string_equal(h.path, "/opt/kata/bin/kata=1");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(handler_parse(&a, bad[i], &h, &err), ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_class_of_a_pod_says_its_runtime),
        cmocka_unit_test(a_runtime_that_the_agent_lacks_is_told),
        cmocka_unit_test(crun_needs_no_handler),
        cmocka_unit_test(handlers_on_the_command_line_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
