/* A whole agent with the hollow runtime and a master made of paper, on one loop. */
#ifndef TESTS_UNIT_AGENT_WHOLE_H
#define TESTS_UNIT_AGENT_WHOLE_H

#include <unistd.h>

#include "agent/agent.h"
#include "agent/util/fsutil.h"
#include "tests/unit/agent_master.h"

struct fixture {
    uv_loop_t loop;
    char *ca, *ca_key;
    struct fake_master master;
    char dir[64];
    struct log log;
    struct net_tls *tls;
    struct agent *agent;
    bool stopped;
    int64_t cut_ms; /* of the next agent */
};

static inline void open_agent(struct fixture *f)
{
    const char *masters[] = {f->master.address, NULL};
    struct error err = {0};
    struct agent_config c = {.loop = &f->loop,
                             .env = env_real(),
                             .log = &f->log,
                             .tls = f->tls,
                             .name = "n1",
                             .dir = f->dir,
                             .run_dir = f->dir,
                             .masters = masters,
                             .node_ip = "192.0.2.1",
                             .cut_ms = f->cut_ms,
                             .hollow = true,
                             .hollow_tokens = true};
    if (agent_new(&c, &f->agent, &err) != 0) {
        fail_msg("%s", err.message);
    }
    agent_start(f->agent);
}

static inline int whole_setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error err = {0};
    uv_loop_init(&f->loop);
    f->log = (struct log){.name = "test", .level = getenv("DEBUG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_OFF};
    snprintf(f->dir, sizeof f->dir, "/tmp/agent-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(pki_make_ca("test", &f->ca, &f->ca_key, &err), 0);
    master_open(&f->master, &f->loop, f->ca, f->ca_key);
    f->tls = tls_of(f->ca, f->ca_key, PKI_ROLE_NODE, "n1");
    open_agent(f);
    run_until(&f->loop, f->master.pods != NULL && f->master.refs != NULL && f->master.routes != NULL);
    master_order(f->master.pods, NULL, NULL);
    *state = f;
    return 0;
}

static inline void on_stopped(void *data)
{
    ((struct fixture *)data)->stopped = true;
}

static inline void stop_agent(struct fixture *f)
{
    f->stopped = false;
    agent_stop(f->agent, on_stopped, f);
    run_until(&f->loop, f->stopped);
}

static inline int whole_teardown(void **state)
{
    struct fixture *f = *state;
    stop_agent(f);
    master_close(&f->master);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    net_tls_unref(f->tls);
    fs_remove_tree(f->dir, NULL);
    free(f->ca);
    pki_free_key(f->ca_key);
    free(f);
    return 0;
}

#define POD(name, spec)                                                                                                \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name "','namespace':'default','uid':'uid-" name "'},"       \
    "'spec':{'nodeName':'n1'," spec "}}"
#define DELETING(name, spec)                                                                                           \
    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name "','namespace':'default','uid':'uid-" name "',"        \
    "'deletionTimestamp':'2026-01-02T03:04:05Z','deletionGracePeriodSeconds':5},'spec':{'nodeName':'n1'," spec "}}"
#define SLEEP "'containers':[{'name':'c','image':'busybox'}]"

#endif
