package template

import "reflect"

// methodByName returns the method of v with the name, as v.MethodByName does, if one
// of the types has it whose values Sprig's functions return: times, durations and
// versions. Of a method whose name is a constant, the linker keeps no others.
func methodByName(v reflect.Value, name string) reflect.Value {
	if name <= "MarshalBinary" {
		return methodsAbsToMarshalBinary(v, name)
	}
	if name <= "Zone" {
		return methodsMarshalJSONToZone(v, name)
	}
	return methodsZoneBoundsToZoneBounds(v, name)
}

func methodsAbsToMarshalBinary(v reflect.Value, name string) reflect.Value {
	switch name {
	case "Abs":
		return v.MethodByName("Abs")
	case "Add":
		return v.MethodByName("Add")
	case "AddDate":
		return v.MethodByName("AddDate")
	case "After":
		return v.MethodByName("After")
	case "AppendBinary":
		return v.MethodByName("AppendBinary")
	case "AppendFormat":
		return v.MethodByName("AppendFormat")
	case "AppendText":
		return v.MethodByName("AppendText")
	case "Before":
		return v.MethodByName("Before")
	case "Clock":
		return v.MethodByName("Clock")
	case "Compare":
		return v.MethodByName("Compare")
	case "Date":
		return v.MethodByName("Date")
	case "Day":
		return v.MethodByName("Day")
	case "Equal":
		return v.MethodByName("Equal")
	case "Float64":
		return v.MethodByName("Float64")
	case "Format":
		return v.MethodByName("Format")
	case "GoString":
		return v.MethodByName("GoString")
	case "GobDecode":
		return v.MethodByName("GobDecode")
	case "GobEncode":
		return v.MethodByName("GobEncode")
	case "GreaterThan":
		return v.MethodByName("GreaterThan")
	case "GreaterThanEqual":
		return v.MethodByName("GreaterThanEqual")
	case "Hour":
		return v.MethodByName("Hour")
	case "Hours":
		return v.MethodByName("Hours")
	case "ISOWeek":
		return v.MethodByName("ISOWeek")
	case "In":
		return v.MethodByName("In")
	case "IncMajor":
		return v.MethodByName("IncMajor")
	case "IncMinor":
		return v.MethodByName("IncMinor")
	case "IncPatch":
		return v.MethodByName("IncPatch")
	case "Int64":
		return v.MethodByName("Int64")
	case "IsDST":
		return v.MethodByName("IsDST")
	case "IsZero":
		return v.MethodByName("IsZero")
	case "LessThan":
		return v.MethodByName("LessThan")
	case "LessThanEqual":
		return v.MethodByName("LessThanEqual")
	case "Local":
		return v.MethodByName("Local")
	case "Location":
		return v.MethodByName("Location")
	case "Major":
		return v.MethodByName("Major")
	case "MarshalBinary":
		return v.MethodByName("MarshalBinary")
	}
	return reflect.Value{}
}

func methodsMarshalJSONToZone(v reflect.Value, name string) reflect.Value {
	switch name {
	case "MarshalJSON":
		return v.MethodByName("MarshalJSON")
	case "MarshalText":
		return v.MethodByName("MarshalText")
	case "Metadata":
		return v.MethodByName("Metadata")
	case "Microseconds":
		return v.MethodByName("Microseconds")
	case "Milliseconds":
		return v.MethodByName("Milliseconds")
	case "Minor":
		return v.MethodByName("Minor")
	case "Minute":
		return v.MethodByName("Minute")
	case "Minutes":
		return v.MethodByName("Minutes")
	case "Month":
		return v.MethodByName("Month")
	case "Nanosecond":
		return v.MethodByName("Nanosecond")
	case "Nanoseconds":
		return v.MethodByName("Nanoseconds")
	case "Original":
		return v.MethodByName("Original")
	case "Patch":
		return v.MethodByName("Patch")
	case "Prerelease":
		return v.MethodByName("Prerelease")
	case "Round":
		return v.MethodByName("Round")
	case "Scan":
		return v.MethodByName("Scan")
	case "Second":
		return v.MethodByName("Second")
	case "Seconds":
		return v.MethodByName("Seconds")
	case "SetMetadata":
		return v.MethodByName("SetMetadata")
	case "SetPrerelease":
		return v.MethodByName("SetPrerelease")
	case "String":
		return v.MethodByName("String")
	case "Sub":
		return v.MethodByName("Sub")
	case "Truncate":
		return v.MethodByName("Truncate")
	case "UTC":
		return v.MethodByName("UTC")
	case "Unix":
		return v.MethodByName("Unix")
	case "UnixMicro":
		return v.MethodByName("UnixMicro")
	case "UnixMilli":
		return v.MethodByName("UnixMilli")
	case "UnixNano":
		return v.MethodByName("UnixNano")
	case "UnmarshalBinary":
		return v.MethodByName("UnmarshalBinary")
	case "UnmarshalJSON":
		return v.MethodByName("UnmarshalJSON")
	case "UnmarshalText":
		return v.MethodByName("UnmarshalText")
	case "Value":
		return v.MethodByName("Value")
	case "Weekday":
		return v.MethodByName("Weekday")
	case "Year":
		return v.MethodByName("Year")
	case "YearDay":
		return v.MethodByName("YearDay")
	case "Zone":
		return v.MethodByName("Zone")
	}
	return reflect.Value{}
}

func methodsZoneBoundsToZoneBounds(v reflect.Value, name string) reflect.Value {
	switch name {
	case "ZoneBounds":
		return v.MethodByName("ZoneBounds")
	}
	return reflect.Value{}
}
