/* A source of volumes, the part that a node does: agent/pod/source_words.c. */
#include "agent/pod/source.h"

static int files(struct source_files *l, struct mp source, struct error *err)
{
    (void)err;
    source_add_file(l, "words", mp_str(mp_get(source, "text")), l->mode);
    return 0;
}

const struct source source_words = {.name = "words", .files = files};
