#include "tests/fault/judge.h"

#include <stdio.h>
#include <string.h>

#include "tests/fault/kit.h"

/* Lines that no master may write, whatever is done to it. */
static const char *const alarms[] = {
    "AddressSanitizer", "LeakSanitizer", "runtime error:", "Assertion", "assertion", "stack smashing", "diverge",
};

static void count(struct trial *t)
{
    for (size_t i = 0; i < t->hist.count; i++) {
        switch (t->hist.ops[i].outcome) {
        case HIST_OK:
            t->result->ok++;
            break;
        case HIST_FAIL:
            t->result->failed++;
            break;
        case HIST_INFO:
            t->result->unknown++;
            break;
        }
    }
}

/* Where nobody ends, every request is answered: with what it asked for, or refused for its own sake (a conflict, not
 * found). */
static void judge_answers(struct trial *t)
{
    int64_t slowest_us = 0;
    for (size_t i = 0; i < t->hist.count; i++) {
        const struct hist_op *op = &t->hist.ops[i];
        if (op->outcome == HIST_INFO) {
            trial_fail(t, "nobody ended, and operation %zu has no answer: %s", op->number,
                       op->error == NULL ? "unknown outcome" : op->error);
        } else {
            slowest_us = MAX(slowest_us, op->end_us - op->start_us);
        }
    }
    trial_say(t, "slowest answer: %lld ms", (long long)slowest_us / 1000);
}

static void write_text(struct trial *t, const char *name, const struct buf *text)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", t->config.dir, name);
    FILE *f = fopen(path, "we");
    if (f == NULL || fwrite(text->data, 1, text->size, f) != text->size || fclose(f) != 0) {
        fault_die(path, NULL);
    }
}

static void judge_history(struct trial *t)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct findings found;
    struct check_options options = {0};
    findings_init(&found);
    t->config.workload->check(&t->hist, &options, &found);
    findings_print(&found, &t->hist, &text);
    if (text.size > 0) {
        write_text(t, "judgement", &text);
    }
    switch (findings_verdict(&found)) {
    case VERDICT_VALID:
        if (found.checked == 0) {
            trial_fail(t, "the checker found nothing to look at");
        }
        break;
    case VERDICT_UNKNOWN:
        trial_fail(t, "the checker gave up: %s", found.gave_up);
        break;
    case VERDICT_INVALID:
        trial_fail(t, "%u anomalies in the history, first: %s: %s", found.total, found.items[0].name,
                   found.items[0].text);
        break;
    }
    findings_close(&found);
}

static void judge_log(struct trial *t, unsigned i)
{
    char path[700], line[4096];
    snprintf(path, sizeof path, "%s/m%u.log", t->config.dir, i + 1);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        for (unsigned k = 0; k < ARRAY_SIZE(alarms); k++) {
            if (strstr(line, alarms[k]) != NULL) {
                line[strcspn(line, "\n")] = '\0';
                trial_fail(t, "m%u.log: %.200s", i + 1, line);
                break;
            }
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

void judge(struct trial *t)
{
    char path[700];
    struct error err = {0};
    count(t);
    snprintf(path, sizeof path, "%s/history.jsonl", t->config.dir);
    if (hist_write_file(&t->hist, path, &err) != 0) {
        fault_die("history", &err);
    }
    if (t->config.workload->check != NULL) {
        judge_history(t);
    }
    if (t->config.nemesis->steady) {
        judge_answers(t);
    }
    for (unsigned i = 0; i < t->cluster.count; i++) {
        judge_log(t, i);
    }
}
