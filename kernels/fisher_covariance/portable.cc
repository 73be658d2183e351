#include "fisher_covariance/body.h"

const thor::FisherCovarianceImplementation thor::fisher_covariance_portable = {ComputeTiles<Widened<float>>,
                                                                               ComputeTiles<Widened<uint16_t>>};
