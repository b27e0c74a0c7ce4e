/* Pods that act as accounts: a whole agent without processes, and a master made of paper that gives tokens. */
#include "tests/unit/agent_whole.h"

#include "agent/agent_int.h"
#include "agent/pod/pods.h"
#include "agent/pod/tokens.h"

#define USER                                                                                                           \
    "'serviceAccountName':'robot',"                                                                                    \
    "'containers':[{'name':'c','image':'busybox','volumeMounts':[{'name':'access','mountPath':'/a'}]}],"               \
    "'volumes':[{'name':'access','projected':{'sources':[{'serviceAccountToken':{'path':'token'}},"                    \
    "{'serviceAccountToken':{'path':'vault','audience':'vault','expirationSeconds':600}}]}}]"

static bool heard_of(const struct fake_master *m, const char *part)
{
    for (unsigned i = 0; i < m->log_count; i++) {
        if (strstr(m->log[i], part) != NULL) {
            return true;
        }
    }
    return false;
}

static struct str held(struct fixture *f, const char *uid)
{
    struct str token = STR_NONE;
    (void)tokens_get(f->agent->tokens, uid, STR(""), 3600, &token, NULL);
    return token;
}

static void a_pod_begins_when_it_has_its_tokens(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", USER));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    assert_true(master_heard(m, "token default/robot web uid-web - 3600"));
    assert_true(master_heard(m, "token default/robot web uid-web vault 600"));
    assert_int_equal(m->tokens, 2);
    assert_true(str_is(held(f, "uid-web"), "token-1"));
    assert_false(heard_of(m, "token-")); /* in no event and no status */
    assert_null(strstr(m->last_status, "token-"));
}

static void a_pod_waits_for_its_token_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    m->refuse_tokens = ERR_NOT_FOUND;
    master_order(m->pods, "ADDED", POD("web", USER));
    run_until(&f->loop, heard_of(m, "MountVolume.SetUp failed for volume \"access\": waiting for a token of service "
                                    "account robot: serviceaccounts \"robot\" not found"));
    assert_true(master_heard(m, "event FailedMount"));
    assert_false(master_heard(m, "status default/web Running"));
    m->refuse_tokens = 0; /* somebody has made it; it is asked again by itself */
    run_until(&f->loop, master_heard(m, "status default/web Running"));
}

static void a_lost_master_is_no_refusal(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    m->hold_tokens = true;
    master_order(m->pods, "ADDED", POD("web", USER));
    run_until(&f->loop, m->held_tokens_count == 2);
    m->hold_tokens = false;
    master_hang_up(m);
    for (unsigned i = 0; i < m->held_tokens_count; i++) { /* nobody hears it any more */
        master_reply_error(m->held_tokens[i], ERR_TIMEOUT, "", "too late");
    }
    run_until(&f->loop, m->registrations == 2 && m->pods != NULL);
    master_order(m->pods, "ADDED", POD("web", USER));
    master_order(m->pods, NULL, NULL);
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    assert_false(heard_of(m, "FailedMount"));
}

static void a_pod_that_goes_has_no_tokens(void **state)
{
    struct fixture *f = *state;
    struct fake_master *m = &f->master;
    master_order(m->pods, "ADDED", POD("web", USER));
    run_until(&f->loop, master_heard(m, "status default/web Running"));
    master_order(m->pods, "MODIFIED", DELETING("web", USER));
    run_until(&f->loop, master_heard(m, "gone default/web"));
    assert_int_equal(held(f, "uid-web").n, 0);
    /* And one that goes while it waits asks no more. */
    m->refuse_tokens = ERR_NOT_FOUND;
    master_order(m->pods, "ADDED", POD("late", USER));
    run_until(&f->loop, heard_of(m, "event FailedMount"));
    master_order(m->pods, "MODIFIED", DELETING("late", USER));
    run_until(&f->loop, master_heard(m, "gone default/late"));
    master_forget(m);
    master_order(m->pods, "ADDED", POD("next", USER));
    run_until(&f->loop, heard_of(m, "uid-next"));
    assert_false(heard_of(m, "uid-late"));
    assert_true(tokens_in_flight(f->agent->tokens) <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_pod_begins_when_it_has_its_tokens, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(a_pod_waits_for_its_token_and_says_why, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(a_lost_master_is_no_refusal, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(a_pod_that_goes_has_no_tokens, whole_setup, whole_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
