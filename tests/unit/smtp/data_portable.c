/* smtp/data once more, with the code for processors without SSE2 in place of the archive's. */
#define DATA_PORTABLE 1
#include "../../../src/smtp/data.c"

#include "unit/smtp/data.c"
