/* What the files of `rctl image` share. */
#ifndef CLIENT_CMD_IMAGE_H
#define CLIENT_CMD_IMAGE_H

#include "client/cmd/common.h"

#define OPTION_ROW_NODE                                                                                                \
    {                                                                                                                  \
        "node", 0, OPTION_VALUE, "all", NULL, "NAME", "one node; otherwise all of them"                                \
    }
/* Those that --node names. ERR_NOT_FOUND if there are none. */
int image_nodes(struct rctl *r, struct api_list *out, struct error *err);
/* "55.3MB", in the arena. */
const char *image_size_text(struct arena *a, int64_t bytes);

extern const struct command image_build, image_pull, image_rm; /* image_build.c, image_nodes.c */

#endif
