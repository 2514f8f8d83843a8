package delta

import "collector/pkg/protofield"

// What the parts of a profile take while it is compared, in bytes, besides its text. A
// slice or map that grows has its old place beside the new one.
const (
	stringCost = 80
	idCost     = 200 // of a location, function or mapping
	sampleCost = 300
	valueCost  = 24
	leastCost  = 64 << 10
)

// Cost is how many bytes of memory Delta takes for a profile, about, with its result.
func Cost(profile []byte) (int, error) {
	var strings, ids, samples, types int
	err := protofield.Each(profile, func(f protofield.Field) error {
		switch f.Number {
		case fieldType:
			types++
		case fieldString:
			strings++
		case fieldMapping, fieldLocation, fieldFunction:
			ids++
		case fieldSample:
			samples++
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case types > maxTypes, strings > maxStrings, samples > maxSamples, ids > maxMappings+maxLocations+maxFunctions:
		return 0, errTooMany
	}
	return leastCost + 2*len(profile) + strings*stringCost + ids*idCost + samples*(sampleCost+types*valueCost), nil
}
