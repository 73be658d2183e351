#include "fisher_covariance/body.h"

const thor::FisherCovarianceImplementation thor::fisher_covariance_avx2 = {ComputeTiles<Widened<float>>,
                                                                           ComputeTiles<Widened<uint16_t>>};
