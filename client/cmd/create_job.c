/* rctl create job. */
#include "client/cmd/create.h"

static const struct option_row job_options[] = {
    {"image", 0, OPTION_REPEAT, NULL, NULL, "IMAGE", "what to run"},
    {"from", 0, OPTION_VALUE, NULL, NULL, "cronjob/NAME", "run what this CronJob runs, now"},
    OPTION_ROWS_CREATE,
};

static int run_job(struct rctl *r)
{
    const char *from = opt(r, "from");
    if (r->args.dash != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (from != NULL) {
        struct error err = {0};
        error_set(&err, ERR_UNSUPPORTED, "CronJob is not there yet, so there is none to take it from");
        return rctl_fail_here(r, &err);
    }
    if (args_count(&r->args, "image") != 1) {
        return rctl_usage(r, "which image? one --image=IMAGE");
    }
    struct arena *a = &r->arena;
    struct value *doc = create_document(r, "batch/v1", "Job", r->args.words[0], true);
    struct value *template = value_ensure_map(a, value_ensure_map(a, doc, "spec"), "template");
    struct value *pod = value_ensure_map(a, template, "spec");
    create_containers(r, pod, 0);
    value_set(a, value_item(value_get(pod, "containers"), 0), "name", value_cstr(a, r->args.words[0]));
    value_set(a, pod, "restartPolicy", value_cstr(a, "Never"));
    return create_made(r, doc);
}

const struct command create_job = {
    .name = "job",
    .usage = "NAME --image=IMAGE [-- COMMAND ARG...]",
    .summary = "Create a Job of an image",
    .examples = "  rctl create job hello --image=busybox:1.35 -- echo hello\n"
                "  rctl wait job/hello --for=condition=Complete\n"
                "  rctl logs job/hello\n",
    .options = job_options,
    .options_count = ARRAY_SIZE(job_options),
    .run = run_job,
};
