/* The whole agent with the hollow runtime, against a master made of paper. */
#include "agent/address.h"
#include "agent/agent_int.h"
#include "agent/pod/pods.h"
#include "proto/facts/condition.h"
#include "tests/unit/agent_whole.h"

#include "agent/config.h"

static void a_pod_ordered_is_run_and_reported(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    run_until(&f->loop, master_heard(m, "event Started"));
    assert_non_null(strstr(m->last_status, "\"podIP\":\"10."));
    assert_non_null(strstr(m->last_status, "\"hostIP\":\"192.0.2.1\""));
    assert_non_null(strstr(m->last_status, "\"ready\":true"));
}

/* A hollow one has no runtime that could do anything. */
static void a_node_says_which_runtimes_classes_may_name(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    assert_non_null(strstr(m->last_node, "\"runtimeHandlers\":[{\"name\":\"\"},{\"name\":\"crun\"}]"));
    assert_non_null(strstr(m->last_node, "\"features\":{\"supplementalGroupsPolicy\":false}"));
}

static void a_node_that_has_another_address_says_so(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    master_order(m->pods, "ADDED", POD("near", "'hostNetwork':true," SLEEP));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop,
              master_heard(m, "status default/web Running") && master_heard(m, "status default/near Running"));
    assert_non_null(strstr(m->last_node, "\"address\":\"192.0.2.1\""));
    unsigned registrations = m->registrations;
    address_set(f->agent, "192.0.2.9");
    /* at once: the former connection may be silent */
    run_until(&f->loop, m->registrations > registrations && m->pods != NULL);
    assert_non_null(strstr(m->last_node, "\"address\":\"192.0.2.9\""));
    assert_null(strstr(m->last_node, "192.0.2.1\""));
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    master_order(m->pods, "ADDED", POD("near", "'hostNetwork':true," SLEEP));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, strstr(m->last_status, "\"hostIP\":\"192.0.2.9\"") != NULL);
    assert_string_equal(pods_find(f->agent, STR("default"), STR("near"))->pod->ip, "192.0.2.9");
    assert_string_not_equal(pods_find(f->agent, STR("default"), STR("web"))->pod->ip, "192.0.2.9");
}

static void a_machines_own_address_is_found(void **state)
{
    (void)state;
    char ip[64];
    address_find(ip);
    assert_true(ip[0] == '\0' || address_is_here(ip));
    assert_true(address_is_here("127.0.0.1"));
    assert_false(address_is_here("192.0.2.1"));
}

static void a_deleted_pod_is_stopped_and_reported_gone(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    master_order(m->pods, "MODIFIED", DELETING("web", SLEEP));
    run_until(&f->loop, master_heard(m, "gone default/web"));
    struct agent_stats stats;
    run_until(&f->loop, (agent_get_stats(f->agent, &stats), stats.pods == 0));
}

static void a_pod_removed_from_the_store_is_stopped_without_a_status(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct agent_stats stats;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    master_forget(m);
    master_order(m->pods, "DELETED", POD("web", SLEEP));
    run_until(&f->loop, (agent_get_stats(f->agent, &stats), stats.pods == 0));
    assert_false(master_heard(m, "status default/web Running"));
}

static void events_wait_for_a_leader_up_to_a_limit(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    m->hold_events = true;
    master_order(m->pods, "ADDED",
                 POD("web", "'containers':[{'name':'c','image':'busybox','livenessProbe':{'grpc':{'port':1},"
                            "'failureThreshold':1000000}}]"));
    run_until(&f->loop, m->held_events != NULL);
    for (int i = 0; i < 700; i++) { /* a call is in flight: what is too much is dropped */
        char json[512];
        snprintf(json, sizeof json,
                 POD("p%d", "'containers':[{'name':'c','image':'busybox','command':['exit','0']}],"
                            "'restartPolicy':'Never'"),
                 i, i);
        master_order(m->pods, "ADDED", json);
        if (i % 100 == 0) {
            uv_run(&f->loop, UV_RUN_NOWAIT);
        }
    }
    struct agent_stats stats;
    run_until(&f->loop, (agent_get_stats(f->agent, &stats), stats.pods == 701));
    m->hold_events = false;
    rpc_reply(TAKE_PTR(m->held_events), STR("\x80"));
    run_until(&f->loop, m->events >= 400);
}

static void a_pod_that_the_new_list_does_not_name_is_stopped(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    master_order(m->pods, "ADDED", POD("other", SLEEP));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop,
              master_heard(m, "status default/web Running") && master_heard(m, "status default/other Running"));
    master_hang_up(m);
    run_until(&f->loop, m->registrations == 2 && m->pods != NULL);
    master_order(m->pods, "ADDED", POD("other", SLEEP));
    run_until(&f->loop, m->refs != NULL && m->routes != NULL);
    assert_false(master_heard(m, "gone default/web")); /* the list is not whole yet */
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "gone default/web"));
    assert_false(master_heard(m, "gone default/other"));
}

static void pods_run_on_while_the_master_is_away(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct agent_stats stats;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    m->leads = false;
    master_hang_up(m);
    unsigned hellos = m->hellos;
    run_until(&f->loop, m->hellos >= hellos + 2);
    agent_get_stats(f->agent, &stats);
    assert_false(stats.connected);
    assert_int_equal(stats.running, 1);
    m->leads = true;
    run_until(&f->loop, m->registrations == 2);
}

static void a_status_that_was_not_acknowledged_is_sent_again(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    m->refuse_status = ERR_NO_QUORUM;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    run_until(&f->loop, m->statuses >= 2);
    m->refuse_status = 0;
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void an_equal_status_is_not_sent_twice(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    unsigned statuses = m->statuses;
    master_order(m->pods, "MODIFIED", POD("web", SLEEP));
    master_order(m->pods, "ADDED", POD("second", SLEEP));
    run_until(&f->loop, master_heard(m, "status default/second Running"));
    unsigned web = 0;
    for (unsigned i = 0; i < m->log_count; i++) {
        web += strcmp(m->log[i], "status default/web Running") == 0;
    }
    assert_int_equal(web, 1);
    assert_true(m->statuses > statuses);
}

static struct str kept(const struct fixture *f, const char *path)
{
    const struct agent_pod *ap = strmap_get(&f->agent->pods, STR("uid-web"));
    return ap == NULL ? STR_NONE : mp_str(mp_path(object_mp(ap->latest), path));
}

static bool kept_is(const struct fixture *f, const char *path, const char *wanted)
{
    return str_is(kept(f, path), wanted);
}

#define WEB_AT(revision, label, status)                                                                                \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','namespace':'default','uid':'uid-web',"                  \
    "'resourceVersion':'" revision "','labels':{'at':'" label "'}},'spec':{'nodeName':'n1'," SLEEP "},"                \
    "'status':" status "}"

/* Nobody tells us what we said ourselves. The store has it from revision 9 on: what is told of a time before bears our
 * status all the same, with the conditions of others; what is told of a time after is as the store has it. */
static void what_we_said_is_kept_until_the_store_says_otherwise(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", WEB_AT("3", "3", "{'phase':'Pending'}"));
    master_order(m->pods, NULL, NULL);
    assert_false(m->tells_own_status);
    run_until(&f->loop, kept_is(f, "status.phase", "Running"));
    struct agent_pod *ap = strmap_get(&f->agent->pods, STR("uid-web"));
    struct str ready = mp_str(mp_get(condition_mp(ap->latest, "Ready"), "lastTransitionTime"));
    CLEANUP_FREE char *since = xstrndup(ready.p, ready.n);
    master_order(m->pods, "MODIFIED",
                 WEB_AT("7", "7",
                        "{'phase':'Pending','conditions':[{'type':'PodScheduled','status':'True'},"
                        "{'type':'Ready','status':'False'}]}"));
    run_until(&f->loop, kept_is(f, "metadata.labels.at", "7"));
    assert_true(kept_is(f, "status.phase", "Running"));
    assert_true(condition_is(condition_mp(ap->latest, "Ready"), "True"));
    assert_true(condition_is(condition_mp(ap->latest, "PodScheduled"), "True"));
    assert_true(str_is(mp_str(mp_get(condition_mp(ap->latest, "Ready"), "lastTransitionTime")), since));
    master_order(m->pods, "MODIFIED", WEB_AT("12", "12", "{'phase':'Pending'}"));
    run_until(&f->loop, kept_is(f, "metadata.labels.at", "12"));
    assert_true(kept_is(f, "status.phase", "Pending"));
    /* Of a whole list nothing is older: it may be another's store. What it lacks is said again. */
    unsigned statuses = m->statuses;
    master_hang_up(m);
    run_until(&f->loop, m->registrations == 2 && m->pods != NULL);
    master_order(m->pods, "ADDED", WEB_AT("2", "2", "{'phase':'Pending'}"));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, m->statuses > statuses && kept_is(f, "status.phase", "Running"));
    assert_true(kept_is(f, "metadata.labels.at", "2"));
}

static void a_pod_whose_secret_comes_later_starts_then(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->refs, NULL, NULL);
    master_order(m->pods, "ADDED",
                 POD("web", "'containers':[{'name':'c','image':'busybox','envFrom':[{'secretRef':{'name':'key'}}]}]"));
    run_until(&f->loop, strstr(m->last_status, "CreateContainerConfigError") != NULL);
    assert_non_null(strstr(m->last_status, "secret \\\"key\\\" not found"));
    master_order(m->refs, "ADDED",
                 "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'key','namespace':'default','uid':'s'}}");
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void a_job_like_pod_succeeds(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(
        m->pods, "ADDED",
        POD("job", "'restartPolicy':'Never','containers':[{'name':'c','image':'busybox','command':['exit','0']}]"));
    run_until(&f->loop, master_heard(m, "status default/job Succeeded"));
    master_order(
        m->pods, "ADDED",
        POD("bad", "'restartPolicy':'Never','containers':[{'name':'c','image':'busybox','command':['exit','3']}]"));
    run_until(&f->loop, master_heard(m, "status default/bad Failed"));
    assert_non_null(strstr(m->last_status, "\"exitCode\":3"));
}

static void a_crashing_container_backs_off(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", "'containers':[{'name':'c','image':'busybox','command':['exit','1']}]"));
    run_until(&f->loop, strstr(m->last_status, "CrashLoopBackOff") != NULL);
    assert_non_null(strstr(m->last_status, "\"restartCount\":1"));
    run_until(&f->loop, master_heard(m, "event BackOff"));
}

/* Who looks into somebody that does not run is started nevertheless, and an event says what it does not see. */
static void a_target_that_does_not_run_is_told_when_the_container_starts(void **state)
{
#define BOTH                                                                                                           \
    "'restartPolicy':'Never','containers':[{'name':'done','image':'b','command':['exit','0']},{'name':'runs',"         \
    "'image':'b'}]"
#define LOOK(name, target) "{'name':'" name "','image':'b','targetContainerName':'" target "'}"
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", BOTH));
    run_until(&f->loop,
              strstr(m->last_status, "\"exitCode\":0") != NULL && master_heard(m, "status default/web Running"));
    master_order(m->pods, "MODIFIED", POD("web", BOTH ",'ephemeralContainers':[" LOOK("into-runs", "runs") "]"));
    run_until(&f->loop, master_heard(m, "message Started container into-runs"));
    master_order(
        m->pods, "MODIFIED",
        POD("web", BOTH ",'ephemeralContainers':[" LOOK("into-runs", "runs") "," LOOK("into-done", "done") "]"));
    run_until(&f->loop, master_heard(m, "message Started container into-done"));
    assert_true(master_heard(m, "event TargetNotRunning"));
    assert_true(master_heard(m, "message Container into-done does not see the processes of done, which does not run; "
                                "it is started without"));
    assert_false(master_heard(m, "message Container into-runs does not see the processes of runs, which does not run; "
                                 "it is started without"));
}

/* ---- Calls from the master ---- */

struct exec_seen {
    char out[256];
    int64_t exit_code;
    bool ended;
    struct error error;
};

static void exec_data(struct rpc_stream *st, struct mp payload, size_t n, void *data)
{
    struct exec_seen *x = data;
    struct mp out = mp_get(payload, "stdout");
    struct str text;
    if (mp_read_bin(&out, &text)) {
        snprintf(x->out + strlen(x->out), sizeof x->out - strlen(x->out), "%.*s", STR_ARG(text));
    }
    x->exit_code = mp_int(mp_get(payload, "exit"), x->exit_code);
    rpc_stream_consumed(st, n);
}

static void exec_end(struct rpc_stream *st, const struct error *err, void *data)
{
    struct exec_seen *x = data;
    x->ended = true;
    if (err != NULL) {
        x->error = *err;
    }
    rpc_stream_end(st, NULL);
}
static const struct rpc_stream_events exec_events = {.on_data = exec_data, .on_end = exec_end};

static struct rpc_stream *open_exec(struct fixture *f, struct exec_seen *x, const char *name,
                                    const char *const *command, unsigned words)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    *x = (struct exec_seen){.exit_code = -1};
    mp_write_map(&b, 7);
    mp_write_key_str(&b, "namespace", STR("default"));
    mp_write_key_str(&b, "name", str_of(name));
    mp_write_key_bool(&b, "stdin", true);
    mp_write_key_bool(&b, "stdout", true);
    mp_write_key_bool(&b, "stderr", true);
    mp_write_key_bool(&b, "tty", false);
    mp_write_cstr(&b, "command");
    mp_write_array(&b, words);
    for (unsigned i = 0; i < words; i++) {
        mp_write_cstr(&b, command[i]);
    }
    return rpc_stream_open(f->master.agent, "pod.exec", buf_str(&b), &exec_events, x);
}

static void exec_answers_with_output_and_exit_code(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct exec_seen x;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    open_exec(f, &x, "web", (const char *const[]){"exit", "7"}, 2);
    run_until(&f->loop, x.ended);
    assert_int_equal(x.error.code, 0);
    assert_int_equal(x.exit_code, 7);
}

static void exec_carries_input_and_output(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct exec_seen x;
    CLEANUP_BUF struct buf b = BUF_INIT;
    master_order(m->pods, "ADDED", POD("web", SLEEP));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    struct rpc_stream *st = open_exec(f, &x, "web", (const char *const[]){"cat"}, 1);
    mp_write_map(&b, 1);
    mp_write_cstr(&b, "stdin");
    mp_write_bin(&b, "hello", 5);
    run_until(&f->loop, rpc_stream_write(st, buf_str(&b)) == 0); /* refused until the agent has accepted */
    run_until(&f->loop, strcmp(x.out, "hello") == 0);
    buf_reset(&b);
    mp_write_map(&b, 1);
    mp_write_key_bool(&b, "eof", true);
    rpc_stream_write(st, buf_str(&b));
    run_until(&f->loop, x.ended);
    assert_int_equal(x.exit_code, 0);
}

static void exec_into_what_is_not_there_names_it(void **state)
{
    struct fixture *f = *state;
    struct exec_seen x;
    open_exec(f, &x, "nope", (const char *const[]){"cat"}, 1);
    run_until(&f->loop, x.ended);
    assert_int_equal(x.error.code, ERR_NOT_FOUND);
    assert_string_equal(x.error.message, "pod \"nope\" is not on node n1");
}

static void a_pod_for_which_there_is_no_room_fails_and_nothing_of_it_runs(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED",
                 POD("huge", "'containers':[{'name':'c','image':'b','resources':{'requests':{'cpu':'65'}}}]"));
    run_until(&f->loop, master_heard(m, "status default/huge Failed"));
    assert_non_null(strstr(m->last_status, "\"reason\":\"OutOfcpu\""));
    assert_non_null(strstr(m->last_status, "requested: 65000, used: 0, capacity: 64000"));
    assert_null(strstr(m->last_status, "containerStatuses"));
    run_until(&f->loop, master_heard(m, "event OutOfcpu"));
    /* it holds no room */
    master_order(m->pods, "ADDED",
                 POD("large", "'containers':[{'name':'c','image':'b','resources':{'requests':{'cpu':'64'}}}]"));
    run_until(&f->loop, master_heard(m, "status default/large Running"));
    assert_int_equal(m->gets, 0);
    master_order(m->pods, "DELETED", POD("huge", "'containers':[{'name':'c','image':'b'}]"));
}

static void a_critical_pod_takes_the_room_of_another_and_waits_until_it_has_ended(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED",
                 POD("large", "'containers':[{'name':'c','image':'b','resources':{'requests':{'cpu':'64'}}}]"));
    run_until(&f->loop, master_heard(m, "status default/large Running"));
    master_order(m->pods, "ADDED",
                 POD("vital", "'priority':2000001000,'containers':[{'name':'c','image':'b','resources':{'requests':{"
                              "'cpu':'1'}}}]"));
    run_until(&f->loop, master_heard(m, "event Preempting"));
    run_until(&f->loop, master_heard(m, "status default/large Failed"));
    run_until(&f->loop, master_heard(m, "status default/vital Running"));
    assert_null(strstr(m->last_status, "OutOfcpu"));
    master_order(m->pods, "ADDED",
                 POD("large-2", "'containers':[{'name':'c','image':'b','resources':{'requests':{'cpu':'64'}}}]"));
    run_until(&f->loop, master_heard(m, "status default/large-2 Failed"));
}

/* The node was labelled after it registered: the order is newer than what the agent knows. */
static void labels_are_asked_for_before_a_pod_is_refused_for_them(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    m->node_json = "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1','labels':{'disk':'ssd'}}}";
    master_order(m->pods, "ADDED",
                 POD("fast", "'nodeSelector':{'disk':'ssd'},'containers':[{'name':'c','image':'b'}]"));
    run_until(&f->loop, master_heard(m, "status default/fast Running"));
    assert_int_equal(m->gets, 1);
    master_order(m->pods, "ADDED",
                 POD("slow", "'nodeSelector':{'disk':'hdd'},'containers':[{'name':'c','image':'b'}]"));
    run_until(&f->loop, master_heard(m, "status default/slow Failed"));
    assert_non_null(strstr(m->last_status, "\"reason\":\"NodeAffinity\""));
    assert_int_equal(m->gets, 2);
}

/* What a list lacks is gone, and its room free, before what is new in it is looked at. */
static void the_room_of_pods_that_left_while_we_were_away_is_free(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED",
                 POD("old", "'containers':[{'name':'c','image':'b','resources':{'requests':{'cpu':'40'}}}]"));
    run_until(&f->loop, master_heard(m, "status default/old Running"));
    unsigned registrations = m->registrations;
    rpc_stream_end(TAKE_PTR(m->pods), NULL);
    master_hang_up(m);
    run_until(&f->loop, m->registrations > registrations && m->pods != NULL);
    master_order(m->pods, "ADDED",
                 POD("new", "'containers':[{'name':'c','image':'b','resources':{'requests':{'cpu':'40'}}}]"));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/new Running"));
}

static void exec_into_a_container_that_does_not_run_says_why(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    struct exec_seen x;
    master_order(m->pods, "ADDED",
                 POD("job", "'restartPolicy':'Never','containers':[{'name':'c','image':'b','command':['exit','3']}]"));
    run_until(&f->loop, master_heard(m, "status default/job Failed"));
    open_exec(f, &x, "job", (const char *const[]){"cat"}, 1);
    run_until(&f->loop, x.ended);
    assert_int_equal(x.error.code, ERR_USAGE);
    assert_string_equal(x.error.message, "container not running: \"c\" of pod \"job\" ended with exit code 3");
    master_order(m->pods, "ADDED", POD("crash", "'containers':[{'name':'c','image':'b','command':['exit','1']}]"));
    run_until(&f->loop, strstr(m->last_status, "CrashLoopBackOff") != NULL);
    open_exec(f, &x, "crash", (const char *const[]){"cat"}, 1);
    run_until(&f->loop, x.ended);
    assert_int_equal(x.error.code, ERR_USAGE);
    assert_string_equal(x.error.message, "container not running: \"c\" of pod \"crash\" waits: CrashLoopBackOff");
}

/* ---- Joining ---- */

struct join_thread {
    struct config_join join;
    struct error error;
    int rv;
    bool done, closed;
    uv_async_t ended;
};

static void join_main(void *arg)
{
    struct join_thread *j = arg;
    j->rv = config_join(&j->join, &j->error);
    uv_async_send(&j->ended);
}

static void on_join_ended(uv_async_t *h)
{
    ((struct join_thread *)h->data)->done = true;
}

static void on_async_closed(uv_handle_t *h)
{
    ((struct join_thread *)h->data)->closed = true;
}

static void run_join(struct fixture *f, struct join_thread *j)
{
    uv_thread_t thread;
    uv_async_init(&f->loop, &j->ended, on_join_ended);
    j->ended.data = j;
    assert_int_equal(uv_thread_create(&thread, join_main, j), 0);
    run_until(&f->loop, j->done);
    uv_thread_join(&thread);
    uv_close((uv_handle_t *)&j->ended, on_async_closed);
    run_until(&f->loop, j->closed);
}

static void joining_writes_a_directory_that_can_be_run(void **state)
{
    struct fixture *f = *state;
    char fingerprint[33], token[80], dir[80];
    struct error err;
    struct config config;
    struct net_tls *tls = NULL;
    const char *masters[] = {f->master.address, NULL};
    assert_int_equal(pki_cert_fingerprint(f->ca, fingerprint, &err), 0);
    snprintf(token, sizeof token, "abcdef.0123456789abcdef@%s", fingerprint);
    snprintf(dir, sizeof dir, "%s/joined", f->dir);
    struct join_thread j = {.join = {.dir = dir, .name = "n7", .token = token, .masters = masters}};
    run_join(f, &j);
    assert_int_equal(j.rv, 0);
    if (config_load(&config, dir, &err) != 0 || config_tls(&config, &tls, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(config.name, "n7");
    assert_string_equal(config.masters[0], f->master.address);
    assert_null(config.masters[1]); /* the address named twice is there once */
    net_tls_unref(tls);
    config_close(&config);
}

static void a_wrong_token_is_told_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    char fingerprint[33], token[80], dir[80];
    struct error err;
    const char *masters[] = {f->master.address, NULL};
    assert_int_equal(pki_cert_fingerprint(f->ca, fingerprint, &err), 0);
    snprintf(token, sizeof token, "xxxxxx.0123456789abcdef@%s", fingerprint);
    snprintf(dir, sizeof dir, "%s/joined", f->dir);
    struct join_thread j = {.join = {.dir = dir, .name = "n7", .token = token, .masters = masters}};
    run_join(f, &j);
    assert_int_equal(j.rv, ERR_UNAUTHORIZED);
    assert_non_null(strstr(j.error.message, "the token is unknown"));
    assert_false(fs_exists(dir));
}

static void a_master_of_another_cluster_is_not_joined(void **state)
{
    struct fixture *f = *state;
    char dir[80];
    const char *masters[] = {f->master.address, NULL};
    snprintf(dir, sizeof dir, "%s/joined", f->dir);
    struct join_thread j = {.join = {.dir = dir,
                                     .name = "n7",
                                     .token = "abcdef.0123456789abcdef@00000000000000000000000000000000",
                                     .masters = masters}};
    run_join(f, &j);
    assert_int_not_equal(j.rv, 0);
    assert_int_equal(f->master.joins, 0);
    assert_false(fs_exists(dir));
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, whole_setup, whole_teardown)
    const struct CMUnitTest tests[] = {
        WITH(a_pod_ordered_is_run_and_reported),
        WITH(a_node_says_which_runtimes_classes_may_name),
        WITH(a_node_that_has_another_address_says_so),
        cmocka_unit_test(a_machines_own_address_is_found),
        WITH(a_deleted_pod_is_stopped_and_reported_gone),
        WITH(a_pod_removed_from_the_store_is_stopped_without_a_status),
        WITH(events_wait_for_a_leader_up_to_a_limit),
        WITH(a_pod_that_the_new_list_does_not_name_is_stopped),
        WITH(pods_run_on_while_the_master_is_away),
        WITH(a_status_that_was_not_acknowledged_is_sent_again),
        WITH(an_equal_status_is_not_sent_twice),
        WITH(what_we_said_is_kept_until_the_store_says_otherwise),
        WITH(a_pod_whose_secret_comes_later_starts_then),
        WITH(a_job_like_pod_succeeds),
        WITH(a_crashing_container_backs_off),
        WITH(a_target_that_does_not_run_is_told_when_the_container_starts),
        WITH(exec_answers_with_output_and_exit_code),
        WITH(exec_carries_input_and_output),
        WITH(exec_into_what_is_not_there_names_it),
        WITH(exec_into_a_container_that_does_not_run_says_why),
        WITH(a_pod_for_which_there_is_no_room_fails_and_nothing_of_it_runs),
        WITH(a_critical_pod_takes_the_room_of_another_and_waits_until_it_has_ended),
        WITH(labels_are_asked_for_before_a_pod_is_refused_for_them),
        WITH(the_room_of_pods_that_left_while_we_were_away_is_free),
        WITH(joining_writes_a_directory_that_can_be_run),
        WITH(a_wrong_token_is_told_and_writes_nothing),
        WITH(a_master_of_another_cluster_is_not_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
