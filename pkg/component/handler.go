package component

// HandlersPath is below what path the program's HTTP server has the handlers of
// components, as in Alloy.
const HandlersPath = "/api/v0/component/"

// MemoryAddress is the address at which components reach these handlers without a
// socket, as in Alloy. It is no host's.
const MemoryAddress = "alloy.internal:12345"

// HandlerPath is the path below which the handler of the component with that id
// answers.
func HandlerPath(id string) string { return HandlersPath + id + "/" }
