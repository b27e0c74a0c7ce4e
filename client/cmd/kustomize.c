/* rctl kustomize: prints what a kustomization makes. */
#include "client/manifest/kustomize.h"
#include "client/cmd/common.h"
#include "proto/text/text.h"

static const struct option_row kustomize_options[] = {
    {"output", 'o', OPTION_VALUE, NULL, NULL, "FILE", "write it there"},
};

static int run_kustomize(struct rctl *r)
{
    struct error err = {0};
    struct value *docs;
    if (r->args.words_count > 1) {
        return rctl_usage(r, "one directory is expected");
    }
    if (kustomize_build(&r->arena, r->args.words_count == 0 ? "." : r->args.words[0], &docs, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    VALUE_FOR(i, docs)
    {
        struct value *doc = value_copy(&r->arena, value_item(docs, i));
        value_sort(doc);
        buf_puts(&out, i > 0 ? "---\n" : "");
        yaml_write(&out, doc);
    }
    const char *file = opt(r, "output");
    if (file == NULL) {
        rctl_write(r, &out);
        return EXIT_DONE;
    }
    FILE *f = fopen(file, "we");
    bool written = f != NULL && fwrite(out.data, 1, out.size, f) == out.size;
    if (f == NULL || fclose(f) != 0 || !written) {
        error_set(&err, ERR_IO, "%s cannot be written", file);
        return rctl_fail_here(r, &err);
    }
    return EXIT_DONE;
}

const struct command command_kustomize = {
    .name = "kustomize",
    .usage = "[DIR]",
    .summary = "Print the objects that DIR/kustomization.yaml makes",
    .examples = "  rctl kustomize overlays/test\n"
                "  # apply them\n"
                "  rctl apply -k overlays/test\n",
    .options = kustomize_options,
    .options_count = ARRAY_SIZE(kustomize_options),
    .run = run_kustomize,
};
