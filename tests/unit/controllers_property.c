/* Random operations on a Deployment, from many seeds: whatever happens, the system itself never takes more pods away
 * than maxUnavailable allows (G9), never makes more than maxSurge allows, and when faults stop it converges (G10).
 *
 * The rules are checked at every single transaction: a controller's transaction may not lower the number of serving
 * pods below replicas - maxUnavailable, nor take any away when it is below already, unless replicas were lowered or
 * the pods are too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/script/cluster.h"
#include "tests/script/stage.h"

struct trial {
    struct cluster cluster;
    struct rng rng;
    int replicas, surge, unavailable, image;
    bool recreate, faults; /* faults: pods fail and users scale: then only surge and convergence are judged */
    bool calm;             /* no more faults */
    uint64_t seed;
};

static int count_pods(const struct trial *t, bool serving)
{
    int n = 0;
    struct view_iter it;
    view_iter(&it, stage_tip(&t->cluster.stage), kind_by_id(KIND_POD), STR("default"));
    VIEW_FOR(pod, &it)
    {
        n += !pod->deleting && (!serving || stage_pod_is_ready(pod));
    }
    return n;
}

/* The sum of what all ReplicaSets want. */
static int wanted_sum(const struct trial *t)
{
    int n = 0;
    struct view_iter it;
    view_iter(&it, stage_tip(&t->cluster.stage), kind_by_id(KIND_REPLICASET), STR("default"));
    VIEW_FOR(rs, &it)
    {
        n += (int)mp_int(mp_path(object_mp(rs), "spec.replicas"), 0);
    }
    return n;
}

static void must_hold(const struct trial *t, bool ok, const char *what)
{
    if (!ok) {
        struct buf out = BUF_INIT;
        const enum kind_id kinds[] = {KIND_DEPLOYMENT, KIND_REPLICASET, KIND_POD};
        for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
            struct view_iter it;
            view_iter(&it, stage_tip(&t->cluster.stage), kind_by_id(kinds[i]), STR("default"));
            VIEW_FOR(o, &it)
            {
                stage_write_summary((struct stage *)&t->cluster.stage, &out, o);
            }
        }
        fprintf(stderr, "seed %llu: %s (replicas %d, surge %d, unavailable %d)\n%s", (unsigned long long)t->seed, what,
                t->replicas, t->surge, t->unavailable, buf_cstr(&out));
        buf_close(&out);
        fail();
    }
}

/* One transaction of a controller, judged by what it did to the serving pods. */
static int judged_submit(void *data, const struct txn *t, struct error *err)
{
    struct trial *trial = data;
    int serving = count_pods(trial, true), wanted = wanted_sum(trial);
    if (trial->faults && !trial->calm && rng_below(&trial->rng, 10) == 0) {
        return error_set(err, ERR_LIMIT, "refused by the test");
    }
    int rv = stage_submit(&trial->cluster.stage, t, err);
    if (rv != 0) {
        return rv;
    }
    int serving_after = count_pods(trial, true), wanted_after = wanted_sum(trial);
    int least = trial->replicas - trial->unavailable, most = trial->replicas + trial->surge;
    must_hold(trial, trial->recreate || wanted_after <= wanted || wanted_after <= most,
              "more wanted than maxSurge allows");
    must_hold(trial, trial->recreate || trial->faults || serving_after >= serving || serving_after >= least,
              "took serving pods away below replicas - maxUnavailable");
    return 0;
}

static const struct object *random_pod(struct trial *t)
{
    const struct object *pods[400];
    unsigned count = 0;
    struct view_iter it;
    view_iter(&it, stage_tip(&t->cluster.stage), kind_by_id(KIND_POD), STR("default"));
    VIEW_FOR(pod, &it)
    {
        if (count < ARRAY_SIZE(pods)) {
            pods[count++] = pod;
        }
    }
    return count == 0 ? NULL : pods[rng_below(&t->rng, count)];
}

/* An agent says that one pod is ready, not ready any more, or gone. */
static void agent_event(struct trial *t)
{
    const struct object *pod = random_pod(t);
    if (pod == NULL) {
        return;
    }
    if (pod->deleting) {
        stage_remove(&t->cluster.stage, pod);
    } else if (t->faults && rng_below(&t->rng, 8) == 0) {
        stage_status_patch(&t->cluster.stage, pod, "status: {conditions: [{type: Ready, status: 'False'}]}");
    } else {
        stage_agent_step(&t->cluster.stage, pod);
    }
}

static void patch_deployment(struct trial *t, const char *fmt, int n)
{
    char yaml[200];
    snprintf(yaml, sizeof yaml, fmt, n);
    stage_patch(&t->cluster.stage, KIND_DEPLOYMENT, "default", "web", yaml);
}

static void user_event(struct trial *t)
{
    switch (rng_below(&t->rng, 5)) {
    case 0:
        t->replicas = (int)rng_below(&t->rng, 12);
        patch_deployment(t, "spec: {replicas: %d}", t->replicas);
        break;
    case 1:
        t->image = (int)rng_below(&t->rng, 4);
        patch_deployment(t, "spec: {template: {spec: {containers: [{name: c, image: 'a:%d'}]}}}", t->image);
        break;
    case 2:
        patch_deployment(t, "spec: {paused: true, minReadySeconds: %d}", 0);
        break;
    default:
        patch_deployment(t, "spec: {paused: false, minReadySeconds: %d}", 0);
        break;
    }
}

static void deciders_turn(struct trial *t)
{
    if (rng_below(&t->rng, 2) == 0) {
        controllers_run(t->cluster.controllers, 1);
    } else {
        cluster_schedule(&t->cluster);
    }
}

/* A new leader knows only what is in the state. */
static void new_leader(struct trial *t)
{
    controllers_free(t->cluster.controllers);
    const struct controllers_config config = {.env = &t->cluster.stage.env,
                                              .seed = rng_next(&t->rng),
                                              .submit = judged_submit,
                                              .tip = cluster_tip,
                                              .data = t};
    t->cluster.controllers = controllers_new(&config);
    controllers_resync(t->cluster.controllers);
}

static void trial_open(struct trial *t, uint64_t seed, bool faults, bool recreate)
{
    memset(t, 0, sizeof *t);
    t->seed = seed;
    t->rng.state = seed * 7919 + 1;
    stage_open(&t->cluster.stage, seed);
    t->cluster.stage.hooks = (struct stage_hooks){&t->cluster, cluster_observe, cluster_turn, cluster_deadline};
    new_leader(t);
    stage_apply(&t->cluster.stage, "namespace default\nnode n1\nnode n2\nnode n3");
    t->replicas = 1 + (int)rng_below(&t->rng, 10);
    t->surge = (int)rng_below(&t->rng, 4);
    t->unavailable = (int)rng_below(&t->rng, 4);
    t->unavailable = t->surge + t->unavailable == 0 ? 1 : t->unavailable;
    t->recreate = recreate;
    t->faults = faults;
    char line[200];
    snprintf(line, sizeof line, "deployment web replicas=%d image=a:0 surge=%d unavailable=%d %s", t->replicas,
             t->surge, t->unavailable, recreate ? "recreate" : "");
    stage_apply(&t->cluster.stage, line);
    stage_run(&t->cluster.stage, 0);
}

static void converge(struct trial *t)
{
    t->calm = true;
    patch_deployment(t, "spec: {paused: false, minReadySeconds: %d}", 0);
    stage_run(&t->cluster.stage, 60000); /* backoffs may have to pass */
    must_hold(t, count_pods(t, true) == t->replicas && count_pods(t, false) == t->replicas, "did not converge");
    struct view_iter it;
    view_iter(&it, stage_tip(&t->cluster.stage), kind_by_id(KIND_POD), STR("default"));
    char image[20];
    snprintf(image, sizeof image, "a:%d", t->image);
    VIEW_FOR(pod, &it)
    {
        struct mp_iter containers = mp_iter(mp_path(object_mp(pod), "spec.containers"));
        mp_next(&containers);
        must_hold(t, str_is(mp_str(mp_get(containers.value, "image")), image), "a pod has an old image");
    }
}

static void trials(uint64_t first, uint64_t count, bool faults, bool recreate)
{
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct trial t;
        trial_open(&t, seed, faults, recreate);
        for (unsigned i = 0; i < 300; i++) {
            uint64_t what = rng_below(&t.rng, 40);
            if (what == 0 && faults) {
                user_event(&t);
            } else if (what == 1) {
                t.image = (int)rng_below(&t.rng, 4);
                patch_deployment(&t, "spec: {template: {spec: {containers: [{name: c, image: 'a:%d'}]}}}", t.image);
            } else if (what == 2) {
                new_leader(&t);
            } else if (what < 18) {
                agent_event(&t);
            } else {
                deciders_turn(&t);
            }
            t.cluster.stage.now_ms += (int64_t)rng_below(&t.rng, 1500);
        }
        converge(&t);
        cluster_close(&t.cluster);
    }
}

static void rollouts_keep_surge_and_availability_at_every_step(void **state)
{
    (void)state;
    trials(1, 60, false, false);
}
static void rollouts_with_failing_pods_scaling_and_pauses_converge(void **state)
{
    (void)state;
    trials(1000, 60, true, false);
}
static void recreate_converges(void **state)
{
    (void)state;
    trials(2000, 20, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollouts_keep_surge_and_availability_at_every_step),
        cmocka_unit_test(rollouts_with_failing_pods_scaling_and_pauses_converge),
        cmocka_unit_test(recreate_converges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
