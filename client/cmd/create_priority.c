/* rctl create priorityclass. */
#include "client/cmd/create.h"
#include "proto/facts/priority.h"

static const struct option_row priority_options[] = {
    {"value", 0, OPTION_VALUE, "0", NULL, "N", "priority of its pods; the higher, the more important"},
    {"global-default", 0, OPTION_FLAG, NULL, NULL, NULL, "pods that name no class are of this one"},
    {"description", 0, OPTION_VALUE, NULL, NULL, "TEXT", "which pods it is for"},
    {"preemption-policy", 0, OPTION_VALUE, PREEMPT_LOWER, NULL, "POLICY",
     "PreemptLowerPriority: its pods push out those of lower priority where there is no room; Never: they wait"},
    OPTION_ROWS_CREATE,
};

static int run_priority(struct rctl *r)
{
    struct error err = {0};
    int64_t value;
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (args_int("value", opt(r, "value"), INT32_MIN, INT32_MAX, &value, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    struct arena *a = &r->arena;
    struct value *doc = create_document(r, "scheduling.k8s.io/v1", "PriorityClass", r->args.words[0], false);
    value_set(a, doc, "value", value_int(a, value));
    value_set(a, doc, "globalDefault", value_bool(a, opt_flag(r, "global-default")));
    if (opt(r, "description") != NULL) {
        value_set(a, doc, "description", value_cstr(a, opt(r, "description")));
    }
    value_set(a, doc, "preemptionPolicy", value_cstr(a, opt(r, "preemption-policy")));
    return create_made(r, doc);
}

const struct command create_priorityclass = {
    .name = "priorityclass",
    .alias = "pc",
    .usage = "NAME --value=N [--global-default] [--preemption-policy=Never] [--description=TEXT]",
    .summary = "Create a PriorityClass",
    .examples = "  rctl create priorityclass high --value=1000 --description=\"what users wait for\"\n"
                "  rctl create priorityclass usual --value=100 --global-default\n"
                "  # ahead of others in the queue, but nobody has to go for it\n"
                "  rctl create priorityclass patient --value=500 --preemption-policy=Never\n",
    .options = priority_options,
    .options_count = ARRAY_SIZE(priority_options),
    .run = run_priority,
};
